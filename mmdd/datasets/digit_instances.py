"""Digit scenes in COCO format, with a mask for each digit."""
import json
import os.path as osp
from typing import Any, Dict, List, Optional

from mmdd.registry import TASK_UTILS
from mmdd.structures.rle import RunLengths
from mmdd.utils.io import atomic_save_image, atomic_write_text
from .digit_scenes import CLASSES, DigitScenes, Scene, render_scene, scene_rng


@TASK_UTILS.register_module()
class DigitInstances(DigitScenes):
    """Builds the scenes of :class:`DigitScenes` in COCO format; does nothing where they are.

    Layout under ``root``: ``<split>/<name>.jpg``, the same images, and
    ``annotations/instances_<split>.json``, whose ``segmentation`` is the run-length code of the
    pixels of a digit that can be seen and ``area`` their number. Boxes are those of whole
    digits.

    Args:
        root: Folder to write to.
        num_scenes: Scenes per split.
        size: Side of the canvas in pixels, at least 32.
        seed: The set is a function of ``seed`` and the sizes alone.
    """

    folders = ('annotations', *DigitScenes.splits)
    stamp = 'digit_instances.txt'

    def __init__(self,
                 root: str,
                 num_scenes: Optional[Dict[str, int]] = None,
                 size: int = 64,
                 seed: int = 0) -> None:
        super().__init__(root, num_scenes, dict(train=0), size, seed)
        self._annotations: Dict[str, List[Dict[str, Any]]] = {}

    def _write_scene(self, split: str, index: int) -> None:
        scene = render_scene(scene_rng(self.seed, split, 0, index), self.size, split)
        name = self._name(split, index)
        atomic_save_image(osp.join(self.root, split, f'{name}.jpg'), scene.image)
        self._annotations[name] = annotations_of(scene)

    def _write_splits(self) -> None:
        for split, num in self.num_scenes.items():
            names = [self._name(split, index) for index in range(num)]
            images = [dict(id=i, file_name=f'{name}.jpg', height=self.size, width=self.size)
                      for i, name in enumerate(names, 1)]
            annotations = [dict(entry, image_id=i) for i, name in enumerate(names, 1)
                           for entry in self._annotations[name]]
            content = dict(
                info=dict(description='digit scenes'), licenses=[], images=images,
                annotations=[dict(entry, id=i) for i, entry in enumerate(annotations, 1)],
                categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)])
            atomic_write_text(
                osp.join(self.root, 'annotations', f'instances_{split}.json'),
                json.dumps(content, separators=(',', ':')) + '\n')


def annotations_of(scene: Scene) -> List[Dict[str, Any]]:
    """COCO annotations of a scene without ids."""
    codes = RunLengths.encode(scene.masks)
    return [
        dict(category_id=int(label) + 1, bbox=[x1, y1, x2 - x1, y2 - y1], area=area, iscrowd=0,
             segmentation=segmentation)
        for label, (x1, y1, x2, y2), area, segmentation in zip(
            scene.labels, scene.bboxes.tolist(), codes.areas(), codes.entries())]
