"""A random crop and flip whose numbers are known in advance."""
from typing import Any, Dict, Optional, Tuple, Union

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from mmdd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RecordedCrop(BaseTransform):
    """Crop, resize and flip an image by numbers that come with it.

    Keys read: ``img``; ``crop_box`` (x, y, width, height) in pixels of the
    image, all of it where the key is missing; ``crop_flip``, whether to flip left and right.

    Args:
        scale: Height and width of the result in pixels, or one number for both.
        interpolation: As in mmcv's ``imresize``.
        backend: 'pillow' or 'cv2'; Pillow smooths where it makes an image smaller,
            as torchvision does.
    """

    def __init__(self,
                 scale: Union[int, Tuple[int, int]],
                 interpolation: str = 'bilinear',
                 backend: Optional[str] = 'pillow') -> None:
        self.scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
        self.interpolation = interpolation
        self.backend = backend

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Crop ``results['img']``, (H, W, C).

        Raises:
            ValueError: If the crop exceeds the image.
        """
        image = results['img']
        if 'crop_box' in results:
            x, y, w, h = (int(value) for value in results['crop_box'])
            if x + w > image.shape[1] or y + h > image.shape[0]:
                raise ValueError(f'RecordedCrop: the crop {x, y, w, h} exceeds the '
                                 f'{image.shape[1]}x{image.shape[0]} image '
                                 f'{results.get("img_path", "")}; write its labels again')
            image = image[y:y + h, x:x + w]
        image = mmcv.imresize(image, self.scale[::-1], interpolation=self.interpolation,
                              backend=self.backend)
        if results.get('crop_flip'):
            image = np.ascontiguousarray(image[:, ::-1])
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, '
                f'interpolation={self.interpolation!r}, backend={self.backend!r})')
