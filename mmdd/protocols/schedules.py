"""Schedules that depend on the size of a set: rules that a protocol names.

``protocol=dict(schedule=dict(type='...'))`` applies one to the config of every
student, once the number of images is known.
"""
import math
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmengine.config import Config

from mmdd.registry import TASK_UTILS

# Fields of a parameter scheduler that count epochs (or iterations).
LENGTHS = ('begin', 'end', 'T_max', 'total_iters', 'total_steps', 'milestones')


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


def images_per_class(images: int, num_classes: int) -> float:
    """IPC of a set: images / classes; a fraction where classes are uneven."""
    return images / num_classes


@TASK_UTILS.register_module()
class EpochsByIPC(ScheduleRule):
    """Epochs by images per class: the entry of the next IPC in a table.

    Args:
        table: IPC -> epochs; a set of so many images per class or fewer takes them.
        above: Epochs beyond the last entry.
        factors: Number of classes -> factor on the epochs of such sets.
        multiple: Epochs of sets with a factor are rounded down to a multiple of this.
        milestones: Steps of the learning rate as fractions of the epochs, rounded
            down; None scales whatever the protocol's schedulers count by epoch.
        validations: Validations per training; None keeps the protocol's interval.
    """

    limits = dict(table=dict(low=1), factors=dict(above=0), milestones=dict(low=0, high=1),
                  validations=dict(low=1))

    def __init__(self,
                 table: Mapping[Any, int],
                 above: int,
                 factors: Optional[Mapping[Any, float]] = None,
                 multiple: int = 1,
                 milestones: Optional[Sequence[float]] = None,
                 validations: Optional[int] = None) -> None:
        self.table = {float(ipc): int(epochs) for ipc, epochs in table.items()}
        self.above = above
        self.factors = {int(k): float(v) for k, v in (factors or {}).items()}
        self.multiple = multiple
        self.milestones = milestones
        self.validations = validations

    def epochs(self, ipc: Optional[float], num_classes: int) -> int:
        """Epochs of a set; ``ipc`` None, an unknown size, counts as above the table."""
        found = self.above
        for bound in sorted(self.table, reverse=True):
            if ipc is not None and ipc <= bound:
                found = self.table[bound]
        if num_classes not in self.factors:
            return max(1, found)
        epochs = _down(found * self.factors[num_classes])
        return max(1, epochs - epochs % self.multiple)

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Set the number of epochs and everything that counts them."""
        ipc = None if images is None else images_per_class(images, num_classes)
        epochs = self.epochs(ipc, num_classes)
        set_epochs(cfg, epochs, self.milestones)
        if self.validations:
            cfg.train_cfg.val_interval = max(1, epochs // self.validations)


@TASK_UTILS.register_module()
class ShortWarmUp(ScheduleRule):
    """Warm-ups that count updates take no more than a share of a training.

    A warm-up of 500 updates is written for a full set; a small one is over before it.

    Args:
        share: Share of the updates, in (0, 1].

    Raises:
        ValueError: If it is out of range.
    """

    def __init__(self, share: float = 0.1) -> None:
        if not 0 < share <= 1:
            raise ValueError(f'ShortWarmUp: share must be in (0, 1], got {share}')
        self.share = share

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Shorten the warm-ups; a set of unknown size keeps them."""
        if images is None:
            return
        most = max(1, _down(self.share * num_updates(cfg, images)))
        for node in warm_ups(cfg):
            node.end = min(node.end, most)


def warm_ups(cfg: Config) -> List[Dict[str, Any]]:
    """The schedulers of a training that raise the learning rate over a number of updates."""
    return [node for node in param_schedulers(cfg) if not node.get('by_epoch', True)
            and str(node['type']).endswith('LinearLR') and not node.get('begin')
            and node.get('end') is not None]


def endless_warm_up(cfg: Config, updates: int) -> Optional[str]:
    """Words for a warm-up that a training of so many updates does not come to the end of."""
    longest = max((node['end'] for node in warm_ups(cfg)), default=0)
    if longest < updates or 'max_iters' in cfg.train_cfg and longest == updates:
        return None
    return f'its warm-up of {longest} updates never ends'


def num_updates(cfg: Config, images: int) -> int:
    """Optimizer steps of a training on one device.

    Args:
        cfg: Training config.
        images: Images of its training set, without repetitions.
    """
    accumulated = cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    if 'max_iters' in cfg.train_cfg:
        return math.ceil(cfg.train_cfg.max_iters / accumulated)
    loader = cfg.train_dataloader
    node, repeats = loader.dataset, 1
    while 'dataset' in node:
        repeats *= node.get('times', 1)
        node = node['dataset']
    cut = math.floor if loader.get('drop_last') else math.ceil
    per_epoch = cut(images * repeats / loader.batch_size)
    return math.ceil(cfg.train_cfg.max_epochs * per_epoch / accumulated)


def param_schedulers(cfg: Config) -> List[Dict[str, Any]]:
    """The parameter schedulers of a training, themselves; none or one are lists as well."""
    nodes = cfg.get('param_scheduler') or []
    return [nodes] if isinstance(nodes, dict) else list(nodes)


def set_epochs(cfg: Config, epochs: int, milestones: Optional[Sequence[float]] = None) -> None:
    """Give a training another number of epochs.

    Args:
        cfg: Training config with ``train_cfg.max_epochs``, changed in place.
        epochs: Epochs.
        milestones: Steps as fractions of the epochs; None scales what the
            parameter schedulers count, by the change of the epochs.

    Raises:
        ValueError: If the training counts iterations.
    """
    old = cfg.train_cfg.get('max_epochs')
    if not old:
        raise ValueError('protocol.schedule sets epochs, but train_cfg has no max_epochs: use '
                         'EpochBasedTrainLoop')
    cfg.train_cfg.max_epochs = epochs
    for node in param_schedulers(cfg):
        if not node.get('by_epoch', True):
            continue
        for key in LENGTHS:
            if node.get(key) is None:
                continue
            if key == 'milestones':
                node[key] = ([_down(f * epochs) for f in milestones] if milestones else
                             [_down(m * epochs / old) for m in node[key]])
            else:
                node[key] = _down(node[key] * epochs / old)


def set_batch_size(cfg: Config, batch_size: int) -> None:
    """Give a training another batch size; ``cfg`` is changed in place."""
    cfg.train_dataloader.batch_size = batch_size


def _down(value: float) -> int:
    """Round down, with room for the error of fractions such as 2 / 3."""
    return math.floor(value + 1e-6)
