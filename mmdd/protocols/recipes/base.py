"""The interface of recipes: what a protocol leaves open until the size of the set is known.

``protocol=dict(schedule=dict(type='...'))`` applies one to the config of every
student, once the number of images is known.
"""
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Iterable, Iterator, Optional

from mmengine.config import Config

from mmdd.datasets.views import loader_dataset


class ScheduleRule:
    """Sets what a protocol leaves open until the size of the set is known.

    Subclasses are registered in TASK_UTILS.
    """

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Change the config of a student in place.

        Args:
            cfg: Training config of the student, without the field ``protocol``;
                its training set is swapped already.
            images: Images of the set, for 'full' those of the real training set;
                None where that is not known.
            num_classes: Number of classes K.

        Raises:
            ValueError: If the rule does not cover such a set; the message names the
                option of the protocol that fixes it.
        """
        raise NotImplementedError


@dataclass
class ClassificationRule(ScheduleRule):
    """What the rules of classification have in common.

    Args:
        image_size: Side of the student's images in pixels.
        written_for: Side that the pipelines of the config are for.
    """

    image_size: int = 224
    written_for: int = 224

    limits: ClassVar[Dict[str, Any]] = dict(image_size=dict(low=8), written_for=dict(low=8))

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Set the size of the images; ValueError if the number of classes is not known."""
        if num_classes < 1:
            raise ValueError('the classes of the protocol\'s training set are not known; give it '
                             'metainfo=dict(classes=...)')
        set_image_size(cfg, self.image_size, self.written_for)


def set_image_size(cfg: Config, size: int, written_for: int) -> None:
    """Change the image size of all three pipelines of a student config, in place.

    Sides in pixels that are ``written_for`` become ``size``. Others are larger, for a crop from
    the centre; they keep their ratio in steps of a seventh, so that 256 of 224 becomes
    ``size // 7 * 8``.
    """
    if size == written_for:
        return
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for step in _every_step(loader_dataset(cfg, name).get('pipeline', ())):
            for key in ('scale', 'crop_size', 'size'):
                if key in step:
                    step[key] = _scaled(step[key], size, written_for)


def _every_step(pipeline: Iterable[Any]) -> Iterator[Any]:
    """The steps of a pipeline, those that are done once per image among them."""
    for step in pipeline:
        yield step
        yield from _every_step(step.get('steps', ()))


def _scaled(value: Any, size: int, written_for: int) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_scaled(side, size, written_for) for side in value)
    return size if value == written_for else value * (size // 7) // (written_for // 7)
