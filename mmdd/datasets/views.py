"""Views on mm* datasets that wrappers hide."""
from typing import Any, List


def plain_datasets(dataset: Any) -> List[Any]:
    """The plain datasets inside of a ConcatDataset or another wrapper, in order."""
    if hasattr(dataset, 'datasets'):
        return [part for inner in dataset.datasets for part in plain_datasets(inner)]
    if hasattr(dataset, 'dataset'):
        return plain_datasets(dataset.dataset)
    return [dataset]
