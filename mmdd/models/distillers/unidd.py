"""UniDD: towards universal dataset distillation via task-driven diffusion."""
from mmdd.registry import MODELS
from .base import DatasetDistiller


@MODELS.register_module()
class UniDD(DatasetDistiller):
    """`Towards Universal Dataset Distillation via Task-Driven Diffusion
    <https://openaccess.thecvf.com/content/CVPR2025/html/Qi_Towards_Universal_Dataset_Distillation_via_Task-Driven_Diffusion_CVPR_2025_paper.html>`_
    (CVPR 2025), algorithm 1.

    Stage 1 mines task knowledge: a proxy trained on the real set (equation 6)
    and contextual prompts (section 3.2). Stage 2 samples with the proxy's loss
    as guidance (``TaskGuidanceHook``, equations 7 to 10), then scores, filters
    and relabels (``ProxyRefiner``, equation 11). The variants of the paper's table
    5 are configs: no guidance hook, ``ClassPrompter``, no refiner.

    The arguments are those of :class:`DatasetDistiller`; ``diffusion`` is
    required.
    """

    def __init__(self, diffusion: dict, **kwargs) -> None:
        super().__init__(diffusion=diffusion, **kwargs)
