"""Stock training: one Runner, or a checkpoint that is trained once and reused."""
import os.path as osp
from typing import Any, Dict, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, find_latest_checkpoint

from mmdd.utils import checkpoint as checkpoint_files
from mmdd.utils.compat import without_coco_tables
from mmdd.utils.config import ConfigType, fingerprint, load_config, plain
from mmdd.utils.io import atomic_path, atomic_write_text
from mmdd.utils.locks import LOCK, alone
from mmdd.utils.plain_types import UnsafeFileError
from mmdd.utils.progress import announce
from mmdd.utils.rank_zero import ask_rank_0, meet, on_rank_0, together
from mmdd.utils.runner import build_runner
from mmdd.utils.state import latest_checkpoint
from mmdd.utils.training_record import read_record, write_record
from .batch_share import share_batch
from .hooks import TrainCostHook
from .prepare import prepare
from .training_checks import check_is_training, check_load_from, check_model, check_training


def train(config: ConfigType,
          work_dir: str,
          seed: Optional[int] = None,
          resume: Union[bool, str] = False,
          hooks: Sequence[Hook] = ()) -> Runner:
    """Prepare and train any mm* config with one stock Runner.

    Args:
        config: Anything :func:`load_config` takes.
        work_dir: Where logs and checkpoints go.
        seed: Random seed; that of the config if None.
        resume: True to resume from the last undamaged checkpoint in ``work_dir`` if
            there is one; a path to resume from that checkpoint.
        hooks: Hooks beside those of the config.

    Returns:
        Runner: After training; ``runner.iter`` is the number of updates.

    Raises:
        FileNotFoundError: If the config, or the checkpoint to resume or to start from, is missing.
        ValueError: If the config cannot be read, is one of a distillation, or a number in it is
            out of range.
    """
    cfg = load_config(config)
    check_is_training(cfg)
    check_training(cfg)
    check_model(cfg)
    if seed is not None:
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)
    cfg.resume = bool(resume)
    if isinstance(resume, str):
        if not osp.isfile(resume):
            raise FileNotFoundError(f'cannot resume: {resume} not found')
        cfg.load_from = resume
    prepare(cfg)
    if resume is True:
        found = newest_checkpoint(work_dir)
        cfg.load_from, cfg.resume = found or cfg.get('load_from'), found is not None
    check_load_from(cfg)
    # The scope of this Runner must not outlive it: it may run inside another job.
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        runner = build_runner(cfg, work_dir)
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
    return runner


def newest_checkpoint(work_dir: str) -> Optional[str]:
    """The checkpoint that all ranks resume from; see :func:`latest_checkpoint`."""
    return ask_rank_0(lambda: latest_checkpoint(work_dir))


def last_metrics(runner: Runner) -> Dict[str, float]:
    """The metrics of a Runner's most recent validation, by their full names."""
    scalars = runner.message_hub.log_scalars
    return {key[len('val/'):]: float(value.current()) for key, value in scalars.items()
            if key.startswith('val/') and key not in ('val/time', 'val/data_time')}


def ensure_checkpoint(config: ConfigType,
                      checkpoint: str,
                      cfg_options: Optional[Dict[str, Any]] = None) -> str:
    """Train a config unless its checkpoint is there already.

    Training runs in ``<stem>_train`` beside the checkpoint and resumes an
    interrupted one. The checkpoint then holds only ``meta``,
    ``state_dict`` and the ``ema_state_dict`` of an ``EMAHook``; ``<stem>.json``
    beside it keeps the final validation metrics, the number of updates, seconds
    (over restarts), peak memory and the fingerprint of the config.

    Of jobs that need one checkpoint at the same time, the first trains and the others wait.
    In a distributed job the config stays that of one process: ranks share its batch where
    that changes nothing (see :func:`share_batch`), else rank 0 trains and the others wait.

    Args:
        config: Training config of any mm* package.
        checkpoint: Path of the checkpoint, or an address that it is downloaded from.
        cfg_options: Dotted options merged into the config.

    Returns:
        str: ``checkpoint``, or the file that was downloaded.

    Raises:
        ValueError: If the file at ``checkpoint`` is not a checkpoint, or cannot be downloaded.
    """
    if '://' in checkpoint:
        checkpoint = checkpoint_files.download(checkpoint)
        read_checkpoint(checkpoint)
        return checkpoint
    cfg = load_config(config)
    cfg.merge_from_dict(cfg_options or {})
    name = config if isinstance(config, str) else 'a config dict'
    mark = fingerprint(cfg)
    folder = f'{osp.splitext(checkpoint)[0]}_train'

    def is_there() -> bool:
        return osp.isfile(checkpoint)

    # Another job may be training it.
    with alone(None if ask_rank_0(is_there) else osp.join(folder, LOCK), is_there, needed=False):
        if not ask_rank_0(is_there):
            announce(f'{checkpoint} is missing: training {name} in {folder}')
            if share_batch(cfg):
                _train_checkpoint(cfg, folder, checkpoint, name, mark)
            else:
                cfg.launcher = 'none'
                on_rank_0(lambda: _train_checkpoint(cfg, folder, checkpoint, name, mark))
            meet()
            return checkpoint
    read_checkpoint(checkpoint)
    _warn_if_stale(checkpoint, name, mark)
    return checkpoint


def _train_checkpoint(cfg: Config, folder: str, checkpoint: str, name: str, mark: str) -> None:
    """Train in ``folder`` and write the checkpoint and its record."""
    hook = TrainCostHook()
    with without_coco_tables():
        runner = train(cfg, folder, resume=ask_rank_0(lambda: _can_resume(folder, mark)),
                       hooks=[hook])
    with together():
        if get_rank() == 0:
            _publish(find_latest_checkpoint(folder), checkpoint)
            write_record(checkpoint, hook.seconds, config=name, fingerprint=mark,
                         metrics=last_metrics(runner), updates=runner.iter,
                         denoiser_passes=hook.denoiser_passes,
                         peak_memory_mib=hook.peak_memory_mib)


def read_checkpoint(path: str) -> Dict[str, Any]:
    """Load a checkpoint onto the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is truncated, corrupt, unsafe, or holds no weights.
    """
    try:
        content = checkpoint_files.read_checkpoint(path)
    except (FileNotFoundError, UnsafeFileError):
        raise
    except ValueError as error:
        raise ValueError(f'{error} to train it again') from error
    if not isinstance(content, dict) or not content.get('state_dict', content):
        raise ValueError(f'{path} holds no weights; move it away to train it again')
    return content


def _can_resume(folder: str, mark: str) -> bool:
    """Whether ``folder`` holds an interrupted training of the same config, as it does now."""
    stamp, same = osp.join(folder, 'fingerprint.txt'), False
    if osp.isfile(stamp):
        with open(stamp, 'rb') as f:
            same = f.read().strip() == mark.encode()
    atomic_write_text(stamp, mark + '\n')
    return same


def _publish(source: str, checkpoint: str) -> None:
    import torch
    content = read_checkpoint(source)
    # Of an EMAHook MMEngine keeps the last weights here, and the average as the state.
    weights: Dict[str, Any] = {
        key: content[key] for key in ('state_dict', 'ema_state_dict') if key in content}
    with atomic_path(checkpoint) as tmp:
        # Plain types only, so that it loads with weights_only=True.
        torch.save(dict(weights, meta=plain(content['meta'])), tmp)


def _warn_if_stale(checkpoint: str, name: str, mark: str) -> None:
    record = read_record(checkpoint)
    if record is not None and record.get('fingerprint') != mark:
        print_log(f'{checkpoint} was trained from another version of {name}; it is used as it '
                  f'is, move it away to train it again', 'current', level=30)
