"""What identifies a distillation job."""
import copy
import inspect
from typing import Any, Dict, List, Mapping, Optional

from mmdd.registry import HOOKS, LOOPS, MODELS, TASK_UTILS
from mmdd.structures import DENOISE_STAGES
from mmdd.utils.components import class_of, runtime_settings_of
from mmdd.utils.config import describe_network, fingerprint, resolve_path
from mmdd.utils.io import sha256
from mmdd.utils.signature import defaults_of
from .parts import model_parts


def describe_parts(cfg) -> Dict[str, str]:
    """Fingerprints of the parts of a config that decide what comes out.

    Args:
        cfg: Config of a job.

    Returns:
        dict: One hash per part; the weights of proxy and judge are not among them. There is
        ``final_dtype`` where :func:`final_dtype` gives one.

    Raises:
        FileNotFoundError: If the config of the proxy or of the judge is missing.
    """
    model = without_runtime_settings(cfg.model)
    if model.get('judge'):
        model['judge'] = describe_network(model['judge'])
    diffusion = dict(model.pop('diffusion', None) or {})
    decoded = final_dtype(diffusion)
    diffusion.pop('final_dtype', None)
    parts = dict(
        proxy=describe_network(model.pop('proxy', None) or {}), diffusion=diffusion, model=model,
        train_cfg=without_settings(cfg.train_cfg, LOOPS.get('DistillLoop')),
        dataset=cfg.train_dataloader['dataset'],
        custom_hooks=[hook for hook in all_hooks(cfg) if changes_images(hook)],
        **(dict(final_dtype=decoded) if decoded else {}))
    return {name: fingerprint(dict(part=part)) for name, part in parts.items()}


def final_dtype(diffusion: Mapping[str, Any]) -> Optional[str]:
    """The ``final_dtype`` of a prior's config, or its default, which has been another one.

    None of weights in fp32, whose images are the same with each, and of a prior without it.
    """
    kind = class_of(MODELS, diffusion)
    settings = {**(defaults_of(kind) if inspect.isclass(kind) else {}), **diffusion}
    return None if settings.get('dtype') == 'fp32' else settings.get('final_dtype')


def judge_chooses(cfg) -> bool:
    """Whether the judge of a job decides which candidate of a pool becomes the image."""
    return 'judge' in getattr(build_pool(cfg), 'needs', ())


def build_pool(cfg) -> Any:
    """The pool of candidates of a job, or None."""
    return TASK_UTILS.build(cfg.model.pool) if cfg.model.get('pool') else None


def describe_raw_samples(cfg) -> str:
    """Fingerprint of what decides the images of a config before refinement.

    Args:
        cfg: Config of a job; the weights of its proxy and judge are not looked at.
    """
    unrefined = copy.deepcopy(cfg)
    unrefined.model.pop('refiners', None)
    if not judge_chooses(cfg):
        unrefined.model.pop('judge', None)
    unrefined.train_cfg = dict(budget=cfg.train_cfg['budget'])
    return fingerprint(dict(parts=describe_parts(unrefined)))


def without_settings(node: Mapping[str, Any], kind: Any) -> Dict[str, Any]:
    """A copy of the config of a component that lacks the runtime settings of its class."""
    names = runtime_settings_of(kind)
    return {name: value for name, value in node.items() if name not in names}


def without_runtime_settings(model: Mapping[str, Any]) -> Dict[str, Any]:
    """A copy of the config of a distiller without the runtime settings of any of its parts."""
    bare = copy.deepcopy(dict(model))
    for _, registry, node in model_parts(bare):
        for name in runtime_settings_of(class_of(registry, node)):
            node.pop(name, None)
    return bare


def describe_job(cfg, distiller) -> Dict[str, Any]:
    """The job with the weights of its proxy, judge, snapshots and fine-tuning, by their content.

    Args:
        cfg: Config of the Runner.
        distiller: The distiller.

    Returns:
        dict: :func:`describe_parts`, and ``fingerprint`` over all of them;
        ``raw_samples``, what decides the images before refinement, and ``refined``.

    Raises:
        ValueError: If the judge has the weights of the proxy.
    """
    job: Dict[str, Any] = describe_parts(cfg)
    for name in ('proxy', 'judge'):
        checkpoint = (cfg.model.get(name) or {}).get('checkpoint')
        if getattr(distiller, name, None) is not None and checkpoint is not None:
            job[f'{name}_weights'] = sha256(resolve_path(checkpoint))
    if 'judge_weights' in job and job['judge_weights'] == job.get('proxy_weights'):
        raise ValueError('model.judge has the weights of model.proxy: it would score what it '
                         'guided; give it another architecture or seed')
    raw = dict(raw=describe_raw_samples(cfg), weights=job.get('proxy_weights'))
    if judge_chooses(cfg):
        raw['judge_weights'] = job.get('judge_weights')
    fine_tuned = getattr(distiller, 'fine_tune', None)
    if fine_tuned is not None:
        job['fine_tuned_weights'] = raw['fine_tuned'] = fingerprint(dict(
            files=[sha256(resolve_path(path)) for path in fine_tuned.files]))
    snapshots = [path for chooser in (distiller, getattr(distiller, 'label_sampler', None))
                 for path in getattr(chooser, 'snapshot_files', ())]
    if snapshots:
        job['snapshot_weights'] = fingerprint(dict(
            files=[sha256(resolve_path(path)) for path in snapshots]))
    job['fingerprint'] = fingerprint(job)
    job['raw_samples'] = fingerprint(raw)
    job['refined'] = bool(cfg.model.get('refiners'))
    return job


def all_hooks(cfg) -> List[Any]:
    """The hooks of a config, those under ``default_hooks`` too."""
    default = (cfg.get('default_hooks') or {}).values()
    return [*(cfg.get('custom_hooks') or []), *(hook for hook in default if hook is not None)]


def changes_images(hook: Any) -> bool:
    """Whether a hook of a config takes part in denoising."""
    kind = class_of(HOOKS, hook) if isinstance(hook, dict) else type(hook)
    return any(hasattr(kind, stage) for stage in DENOISE_STAGES)
