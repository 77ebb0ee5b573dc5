"""Jobs for worker processes: a distillation, and the data and weights that several need."""
import json
import os.path as osp
from functools import cache
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config

from mmdd.datasets.manifest import MANIFEST
from mmdd.datasets.views import read_classes
from mmdd.models.diffusions.fine_tuned import prior_of
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.utils.compat import setup
from mmdd.utils.components import class_of, short_name
from mmdd.utils.config import fingerprint, import_custom_modules, load_config, plain
from mmdd.utils.jobs import Job
from mmdd.utils.quiet import work_quietly
from .distill_job import (
    plan_fine_tunings,
    read_job,
    ready_fine_tuned,
    ready_weights,
    run_distillation,
)
from .prepare import prepare
from .train_job import ensure_checkpoint

# Jobs that others wait for go first.
DATA, WEIGHTS = (0, ), (1, )


def distill_job(name: str, config: Any, work_dir: str, options: Dict[str, Any], label: str,
                **more: Any) -> Job:
    """The job ``work_dir`` that makes or resumes a set: finished once its manifest is there.

    Its line calls it ``name``, its progress lines begin with ``label``, the full output is in
    ``output.log``. ``options`` are merged into the config, ``more`` are further fields of the
    job.
    """
    folder, log = osp.join(work_dir, 'distilled'), osp.join(work_dir, 'output.log')
    return Job(work_dir, name, work_quietly, (log, label, _distill, config, work_dir, options),
               target=osp.join(folder, MANIFEST), log=log, alone=True, result=lambda: folder,
               **more)


class Preparations:
    """The jobs that make what several sets and students need, each of them once.

    Their output goes to ``prepare.log`` in the work dir; those that train weights have so many
    places and CPU threads, see :class:`Job`.
    """

    def __init__(self, work_dir: str, places: int = 1, threads: Optional[int] = None) -> None:
        self.log = osp.join(work_dir, 'prepare.log')
        self.training = dict(order=WEIGHTS, places=places, threads=threads)
        self.jobs: Dict[str, Job] = {}

    def of_config(self, config: Config) -> List[str]:
        """Names of the jobs for the entries of ``prepare``, in order.

        What an entry trains needs the data of its config; a checkpoint that is there, nothing.
        """
        names: List[str] = []
        content = config.to_dict()
        for entry in content.get('prepare') or []:
            path = entry.get('checkpoint')
            step = dict(prepare=[entry], custom_imports=content.get('custom_imports'))
            if path:
                names += self._weights(path, entry.get('config'), names, _build, step)
                continue
            kind = short_name(entry.get('type'))
            names.append(self._add(
                fingerprint(dict(entry, type=kind)), f'data of {kind}', names, _build, step,
                order=DATA))
        return names

    def of_set(self, config: Config) -> List[str]:
        """The same for a distillation, with the weights that it would train.

        Weights without a place of their own are left to it.
        """
        names = self.of_config(config)
        for part in ('proxy', 'judge'):
            node = config.model.get(part)
            if node is not None and is_trained_here(node) and isinstance(
                    node.get('checkpoint'), str):
                names += self._weights(node.checkpoint, node.get('cfg'), names, _train,
                                       config.to_dict(), part)
        node = config.model.get('fine_tune')
        if node is not None and isinstance(node.get('checkpoint'), str):
            names += self._of_fine_tuning(config, node, tuple(names))
        return names

    def _of_fine_tuning(self, config: Config, node: Any, needs: Sequence[str]) -> List[str]:
        """A job for each shard of classes, none of which waits for another."""
        classes = read_classes(config, 'mmdd')
        if classes is None:  # only the training will know the shards and their files
            return self._weights(node.checkpoint, node.get('cfg'), needs, _fine_tune,
                                 config.to_dict(), whole=not node.get('classes_per_shard'))
        jobs = TASK_UTILS.build(node).jobs(len(classes), '', config.model.diffusion)
        return [name for training, path in jobs for name in self._weights(
            path, training, needs, _fine_tune, config.to_dict(), path)]

    def of_checkpoints(self, trainings: Sequence[Tuple[Config, str]],
                       needs: Sequence[str]) -> List[str]:
        """Names of the jobs ``needs``, and of one after them for each config and checkpoint."""
        names = list(needs)
        for training, path in trainings:
            names += self._weights(path, training, names, ensure_checkpoint, training.to_dict(),
                                   path)
        return names

    def _weights(self, path: str, training: Any, needs: Sequence[str], work: Callable[..., Any],
                 *args: Any, whole: bool = True) -> List[str]:
        """The job that trains a checkpoint, unless it is there."""
        if osp.isfile(path):
            return []
        try:
            inner = self.of_config(load_config(training or {}))
        except (FileNotFoundError, ValueError):  # the job itself says so
            inner = []
        return [self._add(path, path, [*needs, *inner], work, *args,
                          target=path if whole else None, **self.training)]

    def _add(self, name: str, label: str, needs: Sequence[str], work: Callable[..., Any],
             *args: Any, **more: Any) -> str:
        if name not in self.jobs:  # what it needs is there already, so there is no circle
            self.jobs[name] = Job(
                name, label, work_quietly, (self.log, osp.basename(label), work, *args),
                list(needs), log=self.log, alone=True, **more)
        return name


def shared_weights(model: Mapping[str, Any], work_dir: str) -> Dict[str, str]:
    """Where weights without a place go: trained once for all sets, not once in each work dir."""
    places = {}
    for part in ('proxy', 'judge'):
        proxy = model.get(part)
        if proxy is not None and not proxy.get('checkpoint') and is_trained_here(proxy):
            name = _training_mark(json.dumps(plain(proxy.cfg)))[:12]
            places[f'model.{part}.checkpoint'] = osp.join(work_dir, 'proxies', f'{name}.pth')
    tuned = model.get('fine_tune')
    if tuned is not None and not tuned.get('checkpoint'):
        training = _training_mark(json.dumps(plain(tuned.cfg)))
        name = fingerprint(dict(part=[training, prior_of(model.get('diffusion') or {})]))[:12]
        places['model.fine_tune.checkpoint'] = osp.join(work_dir, 'fine_tuned', f'{name}.pth')
    return places


@cache
def _training_mark(text: str) -> str:
    """Fingerprint of a training config from its files or parts, which many methods may share."""
    return fingerprint(json.loads(text))


def is_trained_here(network: Any) -> bool:
    """Whether distilling trains a proxy or judge where its weights are missing."""
    return network.get('cfg') is not None and getattr(
        class_of(MODELS, network), 'trained_by_job', True)


def _distill(config: Any, work_dir: str, options: Dict[str, Any]) -> None:
    cfg = read_job(config, options)
    cfg.work_dir = work_dir
    run_distillation(cfg, resume=True)


def _build(step: Mapping[str, Any]) -> None:
    setup()
    cfg = load_config(step)
    import_custom_modules(cfg)
    prepare(cfg)


def _train(config: Mapping[str, Any], part: str) -> None:
    setup()
    ready_weights(read_job(config).model[part], '', part)


def _fine_tune(config: Mapping[str, Any], path: Optional[str] = None) -> None:
    """Train the fine-tuned weights of a job, those of one file alone where it is named."""
    setup()
    cfg = read_job(config)
    cfg.work_dir = ''  # the weights have a place of their own
    ready_fine_tuned([job for job in plan_fine_tunings(cfg) if path in (None, job[1])])
