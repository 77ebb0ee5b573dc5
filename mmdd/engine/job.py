"""What identifies a distillation job."""
import copy
from typing import Any, Dict, Mapping, Sequence

from mmdd.registry import HOOKS, TASK_UTILS
from mmdd.structures import DENOISE_STAGES
from mmdd.utils.config import describe_network, fingerprint, resolve_path
from mmdd.utils.io import sha256

# Fields that change speed or place, not the images.
NOT_IDENTITY = ('batch_size', 'resume', 'out_dir', 'reuse')
# Fields of a distiller that do the same.
MODEL_NOT_IDENTITY = ('prompt_file', 'score_batch', 'score_dir')
# Settings of a prompter and its backend that change how answers are got, not what they say.
PROMPTER_NOT_IDENTITY = ('cache', 'max_calls', 'max_failures')
BACKEND_NOT_IDENTITY = ('base_url', 'api_key_env', 'max_retries', 'timeout', 'concurrency',
                        'device')
# Settings of a pool of candidates that change how fast they are made.
POOL_NOT_IDENTITY = ('batch_size', )
# Settings of class statistics that change how fast they are made and where they lie.
STATISTICS_NOT_IDENTITY = ('batch_size', 'statistics_dir')


def describe_parts(cfg) -> Dict[str, str]:
    """Fingerprints of the parts of a config that decide what comes out.

    Args:
        cfg: Config of a job.

    Returns:
        dict: One hash per part; the weights of proxy and judge are not among them.

    Raises:
        FileNotFoundError: If the config of the proxy or of the judge is missing.
    """
    model = without(cfg.model, MODEL_NOT_IDENTITY)
    if model.get('prompter'):
        model['prompter'] = without(model['prompter'], PROMPTER_NOT_IDENTITY)
        if model['prompter'].get('backend'):
            model['prompter']['backend'] = without(
                model['prompter']['backend'], BACKEND_NOT_IDENTITY)
    if model.get('statistics'):
        model['statistics'] = without(model['statistics'], STATISTICS_NOT_IDENTITY)
    if model.get('fine_tune'):
        model['fine_tune'] = without(model['fine_tune'], ('checkpoint', ))
    if model.get('pool'):
        model['pool'] = without(model['pool'], POOL_NOT_IDENTITY)
    if model.get('judge'):
        model['judge'] = describe_network(model['judge'])
    proxy = describe_network(model.pop('proxy', None) or {})
    diffusion = dict(model.pop('diffusion', None) or {})
    for key in ('compile', 'gradient_checkpointing'):
        diffusion.pop(key, None)
    settings = {k: v for k, v in cfg.train_cfg.items() if k not in NOT_IDENTITY}
    parts = dict(
        model=model, proxy=proxy, diffusion=diffusion, train_cfg=settings,
        dataset=cfg.train_dataloader['dataset'],
        custom_hooks=[hook for hook in cfg.get('custom_hooks') or [] if changes_images(hook)])
    return {name: fingerprint(dict(part=part)) for name, part in parts.items()}


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


def without(settings: Mapping[str, Any], names: Sequence[str]) -> Dict[str, Any]:
    """A copy of settings that lacks some of them."""
    return {name: value for name, value in settings.items() if name not in names}


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
    job = describe_parts(cfg)
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
    snapshots = getattr(distiller, 'snapshot_files', ())
    if snapshots:
        job['snapshot_weights'] = fingerprint(dict(
            files=[sha256(resolve_path(path)) for path in snapshots]))
    job['fingerprint'] = fingerprint(job)
    job['raw_samples'] = fingerprint(raw)
    job['refined'] = bool(cfg.model.get('refiners'))
    return job


def changes_images(hook: Any) -> bool:
    """Whether a hook of a config takes part in denoising."""
    kind = hook['type'] if isinstance(hook, dict) else type(hook)
    kind = HOOKS.get(kind) if isinstance(kind, str) else kind
    return any(hasattr(kind, stage) for stage in DENOISE_STAGES)
