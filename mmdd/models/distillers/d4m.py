"""D4M: dataset distillation via disentangled diffusion model.

Algorithm 1, and what runs each of its steps:

1. latents z = E(x) of the images of each class             ``ClassStatistics.fit``
2. k-means of each class, batch by batch, equations 3 to 5  ``LatentClusters.summarize``
3. one image for each centre, with its class as the prompt  ``PrototypeDistiller.plan``
4. the centre, noised to a middle timestep                  ``initial_latents``, ``begin``
5. denoised from there, equation 6                          ``SamplingLoop.advance``
6. decoded, and scaled to the size of the set               ``PrototypeDistiller.distill_step``
7. students match a teacher's soft labels                   protocols ``fkd_soft``, ``rded_soft``
"""
from typing import List, Optional, Tuple

from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import DistillSlot
from .prototypes import PrototypeDistiller


@MODELS.register_module()
class D4M(PrototypeDistiller):
    """`D4M: Dataset Distillation via Disentangled Diffusion Model
    <https://arxiv.org/abs/2407.15138>`_
    (CVPR 2024), algorithm 1.

    The latents of each class are clustered (``LatentClusters``, equations 3 to 5). Each
    centre is noised to a middle timestep and denoised from there with the label text as the
    prompt (equation 6). Matching happens at training time, with the soft labels of a teacher:
    the protocols ``fkd_soft`` (stored, as in the paper) and ``rded_soft`` (online).

    The paper gives neither strength, steps nor guidance; configs have those of the released
    code: strength 0.7, 50 steps of PNDM (the scheduler that comes with the weights), scale 8,
    made at 512 pixels and saved at 224. Its negative prompt, 'cartoon, anime, painting', is
    not in the paper: ``model.diffusion.negative_prompt``. Its safety checker, which makes
    images black, is not there; a black image is a failed attempt, and made again.

    Args:
        diffusion: Config of the diffusion adapter.
        statistics: Config of the clustering; None starts from noise, the ablation of
            table 4.
        strength: How much of the path to noise a prototype goes, in (0, 1].
        kwargs: See :class:`PrototypeDistiller`.

    Raises:
        ValueError: If ``strength`` is out of range.
    """

    limits = dict(strength=dict(above=0, high=1))

    def __init__(self,
                 diffusion: dict,
                 statistics: Optional[dict] = dict(type='LatentClusters'),  # noqa: B006
                 strength: float = 0.7,
                 **kwargs) -> None:
        if not 0 < strength <= 1:
            raise ValueError(f'D4M: strength must be in (0, 1], got {strength}')
        super().__init__(diffusion=diffusion, statistics=statistics, **kwargs)
        self.strength = strength

    def initial_latents(self, slots: List[DistillSlot]) -> Tuple[Optional[Tensor], float]:
        """The prototypes, or noise in the variant without them (algorithm 1, line 11)."""
        if self.statistics is None:
            return None, 1.
        return self.prototypes(slots), self.strength
