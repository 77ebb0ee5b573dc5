"""What methods share that know sets of classification alone."""
from typing import Any, Dict

from .base import DatasetDistiller


class ClassificationDistiller(DatasetDistiller):
    """Distills sets in which every image has one class; see :class:`DatasetDistiller`."""

    def collect(self, data_batch: Dict[str, Any]) -> None:
        """Keep annotations.

        Raises:
            ValueError: If the real set has boxes or masks, or images of several classes.
        """
        before = len(self.annotations)
        super().collect(data_batch)
        for annotation in self.annotations[before:]:
            if annotation.target.has_objects or len(annotation.labels) != 1:
                raise ValueError(
                    f'{type(self).__name__} distills classification sets, one class per image; '
                    f'{annotation.path} has boxes, a mask or another number of classes: use UniDD')
