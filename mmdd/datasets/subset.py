"""The images of some classes of a dataset."""
from typing import Any, Dict, Sequence

from mmengine.registry import DATASETS as ROOT_DATASETS

from mmdd.registry import DATASETS


@DATASETS.register_module()
class ClassSubset:
    """A view on the images of some labels; labels and class names stay as they are.

    Args:
        dataset: Config of a dataset of mmpretrain, or the dataset.
        labels: The labels that are kept.

    Raises:
        ValueError: If a label has no image.
    """

    limits = dict(labels=dict(low=0))

    def __init__(self, dataset: Any, labels: Sequence[int]) -> None:
        self.dataset = ROOT_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        found = [int(label) for label in self.dataset.get_gt_labels()]
        missing = sorted(set(labels) - set(found))
        if missing:
            raise ValueError(f'ClassSubset: the dataset has no image of {len(missing)} of '
                             f'{len(labels)} labels ({missing[:5]})')
        self.indices = [i for i, label in enumerate(found) if label in set(labels)]

    @property
    def metainfo(self) -> Dict[str, Any]:
        """That of the whole dataset."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Done in the constructor."""

    def get_gt_labels(self):
        """Labels of the kept images."""
        return self.dataset.get_gt_labels()[self.indices]

    def get_data_info(self, index: int) -> Dict[str, Any]:
        """The annotation of an image."""
        return self.dataset.get_data_info(self.indices[index])

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)
