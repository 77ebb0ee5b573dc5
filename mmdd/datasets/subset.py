"""Some of the images of a dataset; labels and class names stay as they are."""
from typing import Any, Dict, Sequence

from mmengine.registry import DATASETS as ROOT_DATASETS

from mmdd.registry import DATASETS

# Share of the real training set that is held out where there is no validation split: 1 / EVERY.
EVERY = 10


class Subset:
    """A view on some of the images of a dataset.

    Args:
        dataset: Config of a mm* dataset, or the dataset.
    """

    indices: Sequence[int] = ()

    def __init__(self, dataset: Any) -> None:
        self.dataset = ROOT_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    @property
    def metainfo(self) -> Dict[str, Any]:
        """That of the whole dataset."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the whole dataset; wrappers ask for it."""
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()

    def get_data_info(self, index: int) -> Dict[str, Any]:
        """The annotation of an image."""
        return self.dataset.get_data_info(self.indices[index])

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


@DATASETS.register_module()
class ClassSubset(Subset):
    """The images of some labels.

    Args:
        dataset: Config of a dataset of mmpretrain, or the dataset.
        labels: The labels that are kept.

    Raises:
        ValueError: If a label has no image.
    """

    limits = dict(labels=dict(low=0))

    def __init__(self, dataset: Any, labels: Sequence[int]) -> None:
        super().__init__(dataset)
        found = [int(label) for label in self.dataset.get_gt_labels()]
        missing = sorted(set(labels) - set(found))
        if missing:
            raise ValueError(f'ClassSubset: the dataset has no image of {len(missing)} of '
                             f'{len(labels)} labels ({missing[:5]})')
        self.indices = [i for i, label in enumerate(found) if label in set(labels)]

    def get_gt_labels(self):
        """Labels of the kept images."""
        return self.dataset.get_gt_labels()[self.indices]


@DATASETS.register_module()
class HeldOut(Subset):
    """Every n-th image of a dataset, or all the others.

    Args:
        dataset: Config of a stock dataset.
        held: Whether these are the images held out.
        every: n.
    """

    limits = dict(every=dict(low=2))

    def __init__(self, dataset: Dict[str, Any], held: bool, every: int = EVERY) -> None:
        super().__init__(dataset)
        self.indices = [i for i in range(len(self.dataset)) if (i % every == 0) == held]
