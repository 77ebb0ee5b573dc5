"""Steps of a data pipeline that are done once per image."""
import copy
import os
from typing import Any, Dict, List, Tuple

from mmcv.transforms import BaseTransform, Compose

from mmdd.registry import TRANSFORMS
from mmdd.utils.config import fingerprint, plain

# What the steps gave, by steps and file; shared by all datasets of a process.
_KEPT: Dict[Tuple[Any, ...], Dict[str, Any]] = {}
MAX_IMAGES = 8192


@TRANSFORMS.register_module()
class CachedSteps(BaseTransform):
    """The first steps of a pipeline, done once per image and process.

    For small images that are read many times: decoding and resizing a 64-pixel image takes as long
    as augmenting it. What the steps give is the same to the last bit, and is copied for the
    steps that follow. A file that changes is read anew. Once 8,192 images are kept, others are
    read each time.

    Args:
        steps: Configs of transforms without a random part that read nothing but
            ``results['img_path']``, such as loading and resizing.

    Raises:
        ValueError: If there are no steps.
    """

    def __init__(self, steps: List[Dict[str, Any]]) -> None:
        if not steps:
            raise ValueError('CachedSteps: steps is empty; name the transforms to do once, such '
                             'as LoadImageFromFile')
        self.mark = fingerprint(dict(steps=plain(list(steps))))
        self.steps = Compose(steps)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Do the steps, or take over what they gave for this file."""
        path = results['img_path']
        status = os.stat(path)
        key = (self.mark, path, status.st_size, status.st_mtime_ns)
        found = _KEPT.get(key)
        if found is None:
            before = dict(results)
            done = self.steps(results)
            found = {name: value for name, value in done.items()
                     if name not in before or value is not before[name]}
            if len(_KEPT) < MAX_IMAGES:
                _KEPT[key] = found
            results = before
        return {**results, **{name: copy.copy(value) for name, value in found.items()}}
