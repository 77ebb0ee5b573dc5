"""Generative dataset distillation with SDXL-Turbo (ECCV 2024 challenge).

The method of section 3, and what runs each of its steps:

1. class names of the real set, nothing else of it          ``check_classes``
2. the prompt of an image is the name alone, section 3.3    ``ClassPrompter`` in ``plan``
3. z_T from N(0, I)                                         ``SamplingLoop.begin``
4. one step of SDXL-Turbo, without guidance, section 3.1    ``StableDiffusionXL``, steps 1
5. the image, decoded                                       ``SamplingLoop.finish``
6. augmented copies of each image, section 3.4              ``PostAugmentation``
7. within ten minutes                                       ``TimeBudgetHook``
"""
import re
from typing import Any, Mapping, Optional, Sequence

from mmdd.registry import MODELS
from mmdd.utils.components import class_of
from .prototypes import PrototypeDistiller

WNID = re.compile(r'n\d{8}')


@MODELS.register_module()
class SDXLTurbo(PrototypeDistiller):
    """`Generative Dataset Distillation Based on Diffusion Model
    <https://arxiv.org/abs/2408.08610>`_ (third place in the generative track of the
    dataset distillation challenge, ECCV 2024 workshops).

    Every image of a class is drawn from noise by a text-to-image model, in one step
    without guidance (``StableDiffusionXL``: steps 1, cfg_scale 0; sections 3.1 and 4.1);
    the prompt is the class name alone (section 3.3). ``PostAugmentation`` among the
    set stages makes augmented copies. Nothing is learned from the real set: only its
    class names are read, in the order of its labels. ``TimeBudgetHook`` keeps an
    eye on the challenge's 10 minutes.

    The released code also gives a negative prompt, 'cartoon, anime, painting', which
    has no effect without guidance; the adapter says so. Its list of CIFAR-100 names is in
    the order of superclasses, not of labels.

    Args:
        diffusion: Config of the diffusion adapter; one that reads prompts.
        prompter: Config of the prompter; the class name alone by default.
        kwargs: See :class:`PrototypeDistiller`; there are no prototypes.

    Raises:
        ValueError: If the diffusion adapter reads no prompts.
    """

    def __init__(self, diffusion: dict, prompter: Optional[dict] = None, **kwargs) -> None:
        self.check_config(dict(kwargs, diffusion=diffusion))
        super().__init__(diffusion=diffusion, prompter=prompter, **kwargs)

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Check that there is a prior, and that it reads prompts."""
        if cfg.get('diffusion') is None:
            raise ValueError(f'{cls.__name__}: model.diffusion is missing; give it a '
                             f'text-to-image model such as StableDiffusionXL')
        kind = class_of(MODELS, cfg['diffusion'])
        if not kind.reads_prompts:
            raise ValueError(
                f'{cls.__name__} makes images from class names, and {kind.__name__} '
                f'reads no prompts; give model.diffusion a text-to-image model such as '
                f'StableDiffusionXL')
        if cfg.get('statistics') is not None:
            raise ValueError(f'{cls.__name__} starts from noise; leave out model.statistics, or '
                             f'use D4M')

    @classmethod
    def check_classes(cls, cfg: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Check that the classes of the real set have names that can be prompts."""
        bare = [name for name in classes if not name.strip() or WNID.fullmatch(name)]
        if bare:
            raise ValueError(
                f'{cls.__name__} makes images from class names, and {len(bare)} classes have none '
                f'({", ".join(map(repr, bare[:3]))}): give train_dataloader.dataset '
                f'metainfo=dict(classes=...) in the order of its labels')
