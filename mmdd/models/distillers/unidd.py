"""UniDD: towards universal dataset distillation via task-driven diffusion.

Algorithm 1, and what runs each of its steps:

1. train the proxy phi on the real set, equation 6          ``TaskProxy``, trained by its ``cfg``
2. labels y_i of each image, from those of real images      ``label_sampler`` in ``plan``
3. prompts c_i that tell the context, section 3.2           ``VLMPrompter`` in ``plan``
4. z_T from N(0, I), one draw for each seed                 ``SamplingLoop.begin``
5. for each t: eps(z_t, t, c_i), the clean estimate z_0|t,  ``SamplingLoop.advance``
   equation 3, and its task loss L(phi(D(z_0|t)), y_i)      ``TaskGuidanceHook.energy``
6. eps + lambda_s grad L, equations 7 to 10, gives z_{t-1}  ``GuidanceHook``, the scheduler
7. keep images whose score is at least tau, equation 11     ``ProxyRefiner``, in ``refine``
8. label them by phi; what was dropped is drawn anew        ``ProxyRefiner``, ``DistillLoop``
"""
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
