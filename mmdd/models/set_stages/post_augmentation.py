"""Post data augmentation: several images of one generated image."""
import inspect
import os
from dataclasses import replace
from fractions import Fraction
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np
from PIL import Image

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.config import suggestion
from mmdd.utils.seed import derive_seed
from .base import SetStage

# Section 4.1, after the crop. Limits that the paper does not give are the library's; what
# a rotation uncovers is mirrored, as in the library of the time.
PAPER_TRANSFORMS: Tuple[Dict[str, Any], ...] = (
    dict(type='HorizontalFlip', p=0.8),
    dict(type='VerticalFlip', p=0.8),
    dict(type='RandomBrightnessContrast', p=0.5),
    dict(type='Rotate', limit=60, border_mode='reflect', p=0.8),
    dict(type='RandomGamma', p=0.5),
)


@TASK_UTILS.register_module()
class PostAugmentation(SetStage):
    """Post data augmentation (PDA) of `Generative Dataset Distillation Based on
    Diffusion Model <https://arxiv.org/abs/2408.08610>`_, sections 3.3 and 4.1.

    Each generated image is followed by augmented copies of it, through
    albumentations. A copy depends on its slot's seed and its number alone.
    Copies cost no denoising, and the manifest counts none for them.

    The paper crops to "size", which is the size of the images that are written.
    Its released code scales the image to that size first, so that its crop cuts
    nothing off. Here the crop comes first and the copy is scaled afterwards;
    ``resize_first=True`` is the order of the released code.

    Args:
        size: Side in pixels, or (height, width), of the images that are written.
        copies: Augmented copies beside each image; 0 only scales the images.
        crop_size: Side in pixels, or (height, width), of the crop of the generated
            image; None is 7/8 of its sides.
        transforms: Transforms of albumentations after the crop, in order:
            ``dict(type=<class>, ...)``; the paper's five by default. A
            ``border_mode`` is 'reflect' or 'constant'.
        resize_first: Scale before the crop, which then is one of ``size``.

    Raises:
        ValueError: If a setting is out of range, or albumentations does not know it.
    """

    limits = dict(size=dict(low=1), copies=dict(low=0), crop_size=dict(low=1))

    def __init__(self,
                 size: Union[int, Sequence[int]],
                 copies: int = 4,
                 crop_size: Union[int, Sequence[int], None] = None,
                 transforms: Sequence[Mapping[str, Any]] = PAPER_TRANSFORMS,
                 resize_first: bool = False) -> None:
        if copies < 0:
            raise ValueError(f'PostAugmentation: copies must be at least 0, got {copies}')
        if resize_first and crop_size is not None:
            raise ValueError('PostAugmentation: with resize_first the crop has the size that is '
                             'written; leave crop_size out')
        self.size = _pair('size', size)
        self.crop_size = None if crop_size is None else _pair('crop_size', crop_size)
        self.copies = copies
        self.transforms = [dict(node) for node in transforms]
        self.resize_first = resize_first
        self.slots_per_image = Fraction(1, 1 + copies)
        self._pipeline(*self.size)

    def check(self, slots: Sequence[DistillSlot]) -> None:
        """Check that slots are for whole images with class labels, larger than the crop."""
        for slot in slots:
            if slot.target.has_objects:
                raise ValueError(
                    'PostAugmentation is for classification: it would move what boxes and masks '
                    'describe; leave it out of model.set_stages')
            if any(crop > side for crop, side in zip(self.crop_size or (), slot.size)):
                raise ValueError(
                    f'PostAugmentation: a crop of {self.crop_size} does not fit into images of '
                    f'{tuple(slot.size)}; lower crop_size or raise model.image_size')

    def expand(self, sample: DistilledSample) -> List[DistilledSample]:
        """The image itself, then its copies, all of them scaled to ``size``."""
        assert sample.image is not None
        scaled = scale(sample.image, self.size)
        whole = scaled if self.resize_first else sample.image
        pipeline = self._pipeline(*whole.shape[:2])
        images = []
        for number in range(1, self.copies + 1):
            pipeline.set_random_seed(derive_seed('copy', sample.slot.seed, number))
            images.append(scale(pipeline(image=whole)['image'], self.size))
        return [replace(sample, image=scaled)] + [
            replace(sample, image=image, seconds=0., stats=dict(copy=number))
            for number, image in enumerate(images, 1)]

    def _pipeline(self, height: int, width: int):
        """Crop and transforms of an image of this size."""
        library = _albumentations()
        crop = self.crop_size or (max(1, height * 7 // 8), max(1, width * 7 // 8))
        if self.resize_first:
            crop = self.size
        return library.Compose(
            [library.RandomCrop(*crop)] + [_transform(node) for node in self.transforms])


def _albumentations():
    """The library, without its look for a newer version of itself."""
    os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
    try:
        import albumentations
    except ImportError as e:
        raise ValueError(
            f'PostAugmentation needs albumentations ({e}); the fix: pip install --no-deps '
            f'albumentations==2.0.8 albucore==0.0.24') from None
    return albumentations


def scale(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) uint8 of ``size`` (height, width), bicubic with Pillow's filter.

    The released code scales so; Pillow's filter covers all pixels that fall away.
    """
    if image.shape[:2] == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize(
        (size[1], size[0]), Image.Resampling.BICUBIC))


def _transform(node: Mapping[str, Any]):
    """A transform of albumentations from its config."""
    import cv2
    library = _albumentations()
    settings = dict(node)
    name = settings.pop('type', None)
    known = [key for key, value in vars(library).items() if inspect.isclass(value)
             and issubclass(value, library.BasicTransform)]
    if name not in known:
        raise ValueError(f'PostAugmentation: albumentations has no transform {name!r}'
                         f'{suggestion(str(name), known)}')
    cls = getattr(library, name)
    accepted = set(inspect.signature(cls).parameters)
    for key in settings:
        if key not in accepted:  # the library would only warn
            raise ValueError(f'PostAugmentation: {name} of albumentations has no setting {key!r}'
                             f'{suggestion(key, accepted)}')
    border = settings.get('border_mode')
    if isinstance(border, str):
        modes = dict(reflect=cv2.BORDER_REFLECT_101, constant=cv2.BORDER_CONSTANT)
        if border not in modes:
            raise ValueError(f'PostAugmentation: border_mode must be one of {sorted(modes)}, got '
                             f'{border!r}')
        settings['border_mode'] = modes[border]
    try:
        return cls(**settings)
    except (TypeError, ValueError) as e:
        raise ValueError(f'PostAugmentation: {name}: {" ".join(str(e).split())[:200]}') from None


def _pair(name: str, value: Union[int, Sequence[int]]) -> Tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise ValueError(f'PostAugmentation: {name} must be pixels above 0, got {value!r}')
    return pair
