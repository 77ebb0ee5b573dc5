"""Whether a job can resume with the weights that its images were made with."""
import os.path as osp
from typing import Any, Iterator, Optional, Tuple

from mmengine.config import Config

from mmdd.datasets.manifest import MANIFEST, check_set_files
from mmdd.registry import MODELS
from mmdd.utils.components import class_of
from mmdd.utils.config import fingerprint
from mmdd.utils.io import sha256
from mmdd.utils.state import load_state
from .journal import Journal

# What a job's description calls the weights of its parts.
WEIGHTS = dict(proxy='proxy_weights', judge='judge_weights', fine_tune='fine_tuned_weights')


def check_weights(cfg: Config, journal: Journal) -> None:
    """Check the networks of a job that has made images, before any is trained.

    Training a network again gives other weights as a rule, and so another job.

    Args:
        cfg: Config of the job with its ``work_dir``.
        journal: Its journal.

    Raises:
        ValueError: If their weights are gone or others. A finished set needs none.
    """
    if is_finished_without_weights(cfg, journal):
        return
    for name, path, digest in _used_weights(cfg, journal):
        found = _digest(name, path)
        if found is None:
            raise ValueError(
                f'{path}: the weights of model.{name} are gone, with which the finished attempts '
                f'in {journal.out_dir} were made ({digest[:16]}...); trained again they would be '
                f'others: put the file back, or give another --work-dir')
        if found != digest:
            raise ValueError(
                f'{journal.out_dir} holds a distilled set of another config (other '
                f'{WEIGHTS[name]}): {path} is {found[:16]}..., the finished attempts were made '
                f'with {digest[:16]}...; put that file back, or give another --work-dir')


def is_finished_without_weights(cfg: Config, journal: Journal) -> bool:
    """Whether weights of a job are gone that it does not need: its set is whole."""
    if all(osp.isfile(path) for _, path, _ in _used_weights(cfg, journal)):
        return False
    try:
        check_set_files(journal.out_dir, load_state(
            osp.join(journal.out_dir, MANIFEST), lambda content: bool(content['sha256'])))
    except (ValueError, FileNotFoundError):
        return False
    return True


def weights_path(network: Any, work_dir: str, name: str) -> Optional[str]:
    """Where the weights of a network of a job are, or will be once they are trained.

    Args:
        network: Its config.
        work_dir: Where weights without a place of their own are kept, as ``<name>.pth``.
        name: Its part in the job, 'proxy' or 'judge'.

    Returns:
        str: A path; None of a network that is not trained by the job.
    """
    if not getattr(class_of(MODELS, network), 'trained_by_job', True):
        return None
    return network.get('checkpoint') or osp.join(work_dir, f'{name}.pth')


def _used_weights(cfg: Config, journal: Journal) -> Iterator[Tuple[str, str, str]]:
    """(part, path, digest) of the weights that the images of a journal were made with."""
    if not any(journal.keys()):
        return
    job = journal.job()
    for name, key in WEIGHTS.items():
        node, digest = cfg.model.get(name), job.get(key)
        if node is None or digest is None:
            continue
        path = fine_tuned_path(node, cfg.work_dir) if name == 'fine_tune' else weights_path(
            node, cfg.work_dir, name)
        if path is not None:
            yield name, path, digest


def fine_tuned_path(node: Any, work_dir: str) -> Optional[str]:
    """Where fine-tuned weights are; None where classes are fine-tuned in shards."""
    checkpoint = node.get('checkpoint') or osp.join(work_dir, 'fine_tuned.pth')
    return checkpoint if isinstance(checkpoint, str) and not node.get(
        'classes_per_shard') else None


def _digest(name: str, path: str) -> Optional[str]:
    """What :func:`describe_job` says of weights; None where there are none."""
    if not osp.isfile(path):
        return None
    digest = sha256(path)
    return fingerprint(dict(files=[digest])) if name == 'fine_tune' else digest
