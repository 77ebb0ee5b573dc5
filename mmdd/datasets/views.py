"""What wrappers hide of mm* datasets and their configs; class names, and their order."""
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS

from mmdd.utils.compat import setup
from mmdd.utils.config import resolve_path


def plain_datasets(dataset: Any) -> List[Any]:
    """The plain datasets inside of a ConcatDataset or another wrapper, in order."""
    if hasattr(dataset, 'datasets'):
        return [part for inner in dataset.datasets for part in plain_datasets(inner)]
    if hasattr(dataset, 'dataset'):
        return plain_datasets(dataset.dataset)
    return [dataset]


def leaf_datasets(dataset: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The configs of all datasets inside wrappers such as RepeatDataset and ConcatDataset."""
    if 'datasets' in dataset:
        return [leaf for inner in dataset['datasets'] for leaf in leaf_datasets(inner)]
    return leaf_datasets(dataset['dataset']) if 'dataset' in dataset else [dataset]


def leaf_dataset(dataset: Dict[str, Any]) -> Dict[str, Any]:
    """The config of the first dataset inside wrappers."""
    return leaf_datasets(dataset)[0]


def wrapped_datasets(dataset: Dict[str, Any]) -> List[Dict[str, Any]]:
    """A dataset config and those inside it, one in another; a ConcatDataset is the last."""
    return [dataset] + (wrapped_datasets(dataset['dataset']) if 'dataset' in dataset else [])


def loader_dataset(cfg: Mapping[str, Any], *loaders: str) -> Dict[str, Any]:
    """The innermost dataset of the first of these dataloaders that a config has; else {}."""
    found = ((cfg.get(name) or {}).get('dataset') for name in loaders)
    return leaf_dataset(next(filter(None, found), {}))


def read_classes(cfg: Mapping[str, Any], scope: str) -> Optional[Tuple[str, ...]]:
    """Class names by index of the training set of a config.

    They come from its ``metainfo`` or ``classes``, or from its dataset class.

    Args:
        cfg: Training config of a mm* model.
        scope: Registry scope of that mm* package.

    Returns:
        tuple: None where nothing tells.
    """
    leaf = loader_dataset(cfg, 'train_dataloader')
    names = (leaf.get('metainfo') or {}).get('classes') or leaf.get('classes')
    if isinstance(names, str):  # a file with one name per line
        names = list_from_file(resolve_path(names))
    if not names and leaf:
        setup()
        with DATASETS.switch_scope_and_registry(leaf.get('_scope_') or scope) as registry:
            kind = leaf['type']
            kind = registry.get(kind) if isinstance(kind, str) else kind
        names = getattr(kind, 'METAINFO', {}).get('classes')
    return tuple(names) if names else None


def check_class_order(what: str, found: Optional[Sequence[str]], other: str,
                      known: Optional[Sequence[str]], fix: str) -> None:
    """Check that two things have the same classes in the same order, where both tell theirs.

    Labels are class indices: another order gives wrong labels, which nothing but a poor
    accuracy would show.

    Args:
        what: What has the classes ``found``, for the message.
        found: Class names by index; None or empty where they are not known.
        other: What has the classes ``known``.
        known: Class names likewise.
        fix: What to do about it.

    Raises:
        ValueError: If they differ; the message names the first difference.
    """
    if not found or not known or tuple(found) == tuple(known):
        return
    first = next((i for i, (a, b) in enumerate(zip(found, known)) if a != b),
                 min(len(found), len(known)))
    here, there = (repr(names[first]) if first < len(names) else 'missing'
                   for names in (found, known))
    kind = (f'has the classes of {other} in another order' if sorted(found) == sorted(known) else
            f'has other classes than {other} ({len(found)}, {other} {len(known)})')
    raise ValueError(f'{what} {kind}: class {first} is {here} there and {there} in {other}; '
                     f'{fix}')
