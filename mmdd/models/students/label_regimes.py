"""Which labels a classification student learns from, and how much disk they take."""
from typing import Any, Mapping, Optional

from mmdd.datasets.soft_labels import planned_bytes

# From the least to the most that a teacher tells of an image.
REGIMES = dict(
    hard='the class of the image',
    image='one stored soft label for each image, augmented anew',
    pool='stored soft labels of some batches or epochs, used again',
    epoch='a stored soft label for every augmented image of every epoch',
    online='a teacher labels every batch')


def regime_of(labels: Optional[Mapping[str, Any]], teacher: bool = False) -> str:
    """A key of ``REGIMES`` by ``soft_labels`` of a student config, or the settings of a store.

    Without labels it depends on whether there is a teacher beside the student.
    """
    if not labels:
        return 'online' if teacher else 'hard'
    return labels.get('regime') or ('pool' if labels.get('batches') else 'epoch')


def label_regime(cfg: Mapping[str, Any]) -> str:
    """The regime of a student config."""
    labels = cfg.get('soft_labels')
    if labels and cfg['train_dataloader']['dataset'].get('reuse'):
        return 'pool'
    return regime_of(labels, bool(cfg['model'].get('teacher')))


def label_mib(cfg: Mapping[str, Any], images: Optional[int],
              num_classes: Optional[int]) -> Optional[float]:
    """MiB of the soft labels that a student reads from disk; 0 without any, None if not known."""
    labels = cfg.get('soft_labels')
    if not labels:
        return 0.
    if not images or not num_classes:
        return None
    return planned_bytes(dict(labels, images=images, num_classes=num_classes)) / 2**20
