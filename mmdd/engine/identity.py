"""Whether a job can resume with the weights that its images were made with."""
import os.path as osp
from typing import Any, Iterator, List, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdd.datasets.manifest import MANIFEST, check_set_files
from mmdd.datasets.views import read_classes
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.utils.checkpoint import local_path
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
    for name, paths, digest in _used_weights(cfg, journal):
        gone = next((path for path in paths if not osp.isfile(path)), None)
        if gone is not None:
            raise ValueError(
                f'{gone}: the weights of model.{name} are gone, with which the finished attempts '
                f'in {journal.out_dir} were made ({digest[:16]}...); trained again they would be '
                f'others: put the file back, or give another --work-dir')
        found = _digest(name, paths)
        if found != digest:
            raise ValueError(
                f'{journal.out_dir} holds a distilled set of another config (other '
                f'{WEIGHTS[name]}): {paths[0]}{" or another shard" if len(paths) > 1 else ""} is '
                f'{found[:16]}..., the finished attempts were made with {digest[:16]}...; put '
                f'that file back, or give another --work-dir')


def is_finished_without_weights(cfg: Config, journal: Journal) -> bool:
    """Whether weights of a job are gone that it does not need: its set is whole."""
    if all(osp.isfile(path) for _, paths, _ in _used_weights(cfg, journal) for path in paths):
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


def _used_weights(cfg: Config, journal: Journal) -> Iterator[Tuple[str, List[str], str]]:
    """(part, files, digest) of the weights that the images of a journal were made with."""
    if not any(journal.keys()):
        return
    job = journal.job()
    for name, key in WEIGHTS.items():
        node, digest = cfg.model.get(name), job.get(key)
        if node is None or digest is None:
            continue
        path = weights_path(node, cfg.work_dir, name) if name != 'fine_tune' else None
        paths = (_fine_tuned_paths(cfg) if name == 'fine_tune' else
                 [local_path(path)] if path else [])
        if paths:
            yield name, paths, digest


def _fine_tuned_paths(cfg: Config) -> List[str]:
    """Where fine-tuned weights are; none where only the real set tells how many they are."""
    scope = cfg.get('default_scope') or 'mmdd'
    with DefaultScope.overwrite_default_scope(scope):
        fine_tuned = TASK_UTILS.build(cfg.model.fine_tune)
    classes = read_classes(cfg, scope)
    if classes is None and fine_tuned.classes_per_shard:
        return []
    return fine_tuned.paths(len(classes or ()) or 1, cfg.work_dir)


def _digest(name: str, paths: List[str]) -> str:
    """What :func:`describe_job` says of weights."""
    digests = [sha256(path) for path in paths]
    return fingerprint(dict(files=digests)) if name == 'fine_tune' else digests[0]
