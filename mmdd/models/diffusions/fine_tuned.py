"""The weights that a fine-tuning leaves, one set per shard of classes."""
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from mmengine.config import Config
from torch import Tensor

from mmdd.registry import TASK_UTILS
from mmdd.utils.checkpoint import read_checkpoint
from mmdd.utils.config import ConfigType, load_config, resolve_path
from mmdd.utils.finite import check_weights
from mmdd.utils.plain_types import UnsafeFileError

WEIGHTS = ('last', 'ema')
# Settings of a DiT that say which network it is and which classes it draws.
PRIOR = ('pretrained', 'transformer', 'class_map', 'seed')


@TASK_UTILS.register_module()
class FineTuned:
    """Fine-tuned weights of a ``DiT``; ``tools/distill.py`` trains those that are missing.

    Args:
        cfg: Training config whose model is a fine-tuner, for example
            ``MinimaxFineTuner``.
        checkpoint: Where the weights are; None keeps them in the work dir. With
            several shards each file has its first and last label in its name.
        classes_per_shard: Fine-tune one model for each run of so many classes; None
            means one for all. The released code of Minimax takes 20 for ImageNet-100
            and ImageNet-1K.
        weights: 'last', or 'ema' for the moving average of an ``EMAHook``: the paper does not
            mention one, the released code samples from it.

    Raises:
        ValueError: If a setting is out of range.
    """

    runtime_settings = ('checkpoint', )
    limits = dict(classes_per_shard=dict(low=1), weights=WEIGHTS)

    def __init__(self,
                 cfg: ConfigType,
                 checkpoint: Union[str, Sequence[str], None] = None,
                 classes_per_shard: Optional[int] = None,
                 weights: str = 'last') -> None:
        if weights not in WEIGHTS:
            raise ValueError(f'FineTuned: weights must be one of {list(WEIGHTS)}, got {weights!r}')
        if classes_per_shard is not None and classes_per_shard < 1:
            raise ValueError(f'FineTuned: classes_per_shard must be at least 1, got '
                             f'{classes_per_shard}')
        self.cfg = cfg
        self.checkpoint = checkpoint
        self.classes_per_shard = classes_per_shard
        self.weights = weights

    def shards(self, num_classes: int) -> List[range]:
        """The labels of every shard."""
        size = self.classes_per_shard or num_classes
        return [range(start, min(start + size, num_classes))
                for start in range(0, num_classes, size)]

    def jobs(self, num_classes: int, work_dir: str,
             diffusion: Mapping[str, Any]) -> List[Tuple[Config, str]]:
        """(training config, checkpoint) of every shard.

        Args:
            num_classes: Classes of the real set.
            work_dir: Where weights without a place of their own are kept.
            diffusion: Config of the prior to sample from; what is fine-tuned is this
                prior, with the autoencoder of the training config.
        """
        cfg = load_config(self.cfg)
        cfg.merge_from_dict(dict(model=dict(
            num_classes=num_classes, diffusion=prior_of(diffusion))))
        path = self.checkpoint or osp.join(work_dir, 'fine_tuned.pth')
        assert isinstance(path, str), 'a list names what is fine-tuned already'
        shards = self.shards(num_classes)
        if len(shards) == 1:
            return [(cfg, path)]
        stem, suffix = osp.splitext(path)
        return [(shard_config(cfg, labels), f'{stem}_{labels[0]}-{labels[-1]}{suffix}')
                for labels in shards]

    def shard_of(self, label: int) -> int:
        """Index of the shard of a label."""
        return label // self.classes_per_shard if self.classes_per_shard else 0

    @property
    def files(self) -> List[str]:
        """Checkpoints of the shards, as ``tools/distill.py`` fills them in."""
        if self.checkpoint is None:
            return []
        return [self.checkpoint] if isinstance(self.checkpoint, str) else list(self.checkpoint)

    def read(self, shard: int) -> Dict[str, Tensor]:
        """State dict of a shard's fine-tuned transformer.

        Raises:
            ValueError: If the file is missing, damaged or not finite, or has no moving average.
        """
        if shard >= len(self.files):
            raise ValueError(f'model.fine_tune.checkpoint names {len(self.files)} files, shard '
                             f'{shard} is asked for; start the job with tools/distill.py')
        path = self.files[shard]
        try:
            content = read_checkpoint(resolve_path(path))
        except FileNotFoundError:
            raise ValueError(f'no fine-tuned weights at {path!r}; train them with tools/train.py '
                             f'or start the job with tools/distill.py') from None
        except UnsafeFileError:
            raise
        except ValueError as e:
            raise ValueError(f'{e} to train it anew: it cannot be loaded as fine-tuned weights'
                             ) from None
        found = transformer_weights(content, self.weights, path)
        check_weights(found, path)
        return found


def prior_of(diffusion: Mapping[str, Any]) -> Dict[str, Any]:
    """What of the config of a ``DiT`` its fine-tuning takes over."""
    return {key: diffusion[key] for key in PRIOR if diffusion.get(key) is not None}


def transformer_weights(content: Dict, weights: str, path: str) -> Dict[str, Tensor]:
    """The transformer's weights in a checkpoint of MMEngine.

    With an ``EMAHook`` MMEngine keeps the average as ``state_dict`` and the last weights
    as ``ema_state_dict``, whose names it swaps when it saves.

    Raises:
        ValueError: If there is no average, or no transformer.
    """
    averaged = 'ema_state_dict' in content
    if weights == 'ema' and not averaged:
        raise ValueError(f'{path} has no moving average; add an EMAHook to the fine-tuning or set '
                         f"model.fine_tune.weights='last'")
    state = content['state_dict']
    if weights == 'last' and averaged:
        state = {name.removeprefix('module.'): value
                 for name, value in content['ema_state_dict'].items()}
    found = {name.removeprefix('transformer.'): value for name, value in state.items()
             if name.startswith('transformer.')}
    if not found:
        raise ValueError(f'{path} holds no transformer: it is not of a fine-tuning')
    return found


def shard_config(cfg: ConfigType, labels: Sequence[int]) -> Config:
    """A training config on the images of some labels alone."""
    cfg = load_config(cfg)
    cfg.model.labels = list(labels)
    cfg.train_dataloader.dataset = dict(
        type='mmdd.ClassSubset', labels=list(labels), dataset=cfg.train_dataloader.dataset)
    return cfg
