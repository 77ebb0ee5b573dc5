"""How long a training is and what counts it, and recipes of any task that set it by the set."""
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmengine.config import Config

from mmdd.datasets.views import wrapped_datasets
from mmdd.registry import TASK_UTILS
from mmdd.utils.components import short_name
from .base import ScheduleRule

# Fields of a parameter scheduler that count epochs (or iterations).
LENGTHS = ('begin', 'end', 'T_max', 'total_iters', 'total_steps')


def num_updates(cfg: Config, images: int) -> int:
    """Optimizer steps of a training on one device; ``images`` are those without repetitions."""
    accumulated = cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    if 'max_iters' in cfg.train_cfg:
        return math.ceil(cfg.train_cfg.max_iters / accumulated)
    loader = cfg.train_dataloader
    *wrappers, _ = wrapped_datasets(loader.dataset)
    repeats = math.prod(wrapper.get('times', 1) for wrapper in wrappers)
    cut = math.floor if loader.get('drop_last') else math.ceil
    per_epoch = cut(images * repeats / loader.batch_size)
    return math.ceil(cfg.train_cfg.max_epochs * per_epoch / accumulated)


def param_schedulers(cfg: Config) -> List[Dict[str, Any]]:
    """The parameter schedulers of a training, themselves; none or one are lists as well."""
    nodes = cfg.get('param_scheduler') or []
    return [nodes] if isinstance(nodes, dict) else list(nodes)


def set_schedulers(cfg: Config, key: str, value: Any) -> None:
    """Give all parameter schedulers that have a field another value of it, in place."""
    for node in param_schedulers(cfg):
        if key in node:
            node[key] = value


def set_epochs(cfg: Config, epochs: int, milestones: Optional[Sequence[float]] = None) -> None:
    """Give a training another number of epochs, in place; ValueError if it counts iterations.

    Milestones of the learning rate are given as fractions of the epochs; None scales them like
    whatever else the parameter schedulers count.
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
            if node.get(key) is not None:
                node[key] = round_down(node[key] * epochs / old)
        if node.get('milestones') is not None:
            shares = milestones or [step / old for step in node['milestones']]
            node['milestones'] = [round_down(share * epochs) for share in shares]


def set_length(cfg: Config, epochs: int, val_interval: int,
               milestones: Optional[Sequence[float]] = None) -> None:
    """:func:`set_epochs`, and how often a training is evaluated, in epochs, and saved."""
    set_epochs(cfg, epochs, milestones)
    cfg.train_cfg.val_interval = max(1, val_interval)
    hook = cfg.get('default_hooks', {}).get('checkpoint')
    if hook:  # beside the best one: ten to resume from
        hook.interval = max(1, epochs // 10)


def warm_ups(cfg: Config) -> List[Dict[str, Any]]:
    """The schedulers of a training that raise the learning rate over a number of updates."""
    return [node for node in param_schedulers(cfg) if not node.get('by_epoch', True)
            and short_name(node['type']).endswith('LinearLR') and not node.get('begin')
            and node.get('end') is not None]


def endless_warm_up(cfg: Config, updates: int) -> Optional[str]:
    """Words for a warm-up that a training of so many updates does not come to the end of."""
    longest = max((node['end'] for node in warm_ups(cfg)), default=0)
    if longest < updates or 'max_iters' in cfg.train_cfg and longest == updates:
        return None
    return f'its warm-up of {longest} updates never ends'


def round_down(value: float) -> int:
    """Round down, with room for the error of fractions such as 2 / 3."""
    return math.floor(value + 1e-6)


@TASK_UTILS.register_module()
@dataclass
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

    table: Mapping[Any, int]
    above: int
    factors: Optional[Mapping[Any, float]] = None
    multiple: int = 1
    milestones: Optional[Sequence[float]] = None
    validations: Optional[int] = None

    limits = dict(table=dict(low=1), factors=dict(above=0), milestones=dict(low=0, high=1),
                  validations=dict(low=1))

    def epochs(self, images: Optional[int], num_classes: int) -> int:
        """Epochs of a set; one of unknown size counts as above the table."""
        ipc = math.inf if images is None else images / num_classes
        table = sorted((float(bound), int(epochs)) for bound, epochs in self.table.items())
        epochs = next((epochs for bound, epochs in table if ipc <= bound), self.above)
        factors = {int(number): factor for number, factor in (self.factors or {}).items()}
        if num_classes in factors:
            epochs = round_down(epochs * factors[num_classes])
            epochs -= epochs % self.multiple
        return max(1, epochs)

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Set the number of epochs and everything that counts them."""
        epochs = self.epochs(images, num_classes)
        set_epochs(cfg, epochs, self.milestones)
        if self.validations:
            cfg.train_cfg.val_interval = max(1, epochs // self.validations)


@TASK_UTILS.register_module()
@dataclass
class ShortWarmUp(ScheduleRule):
    """Warm-ups that count updates take no more than a share of a training.

    A warm-up of 500 updates is written for a full set; a small one is over before it.

    Args:
        share: Share of the updates, in (0, 1].
    """

    share: float = 0.1

    limits = dict(share=dict(above=0, high=1))

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Shorten the warm-ups; a set of unknown size keeps them."""
        if images is None:
            return
        most = max(1, round_down(self.share * num_updates(cfg, images)))
        for node in warm_ups(cfg):
            node['end'] = min(node['end'], most)
