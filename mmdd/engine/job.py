"""What identifies a distillation job."""
import copy
from typing import Any, Dict, Mapping, Sequence

from mmdd.registry import HOOKS
from mmdd.structures import DENOISE_STAGES
from mmdd.utils.config import fingerprint, resolve_path
from mmdd.utils.io import sha256

# Fields that change speed or place, not the images.
NOT_IDENTITY = ('batch_size', 'resume', 'out_dir', 'reuse')
# Fields of a distiller that do the same.
MODEL_NOT_IDENTITY = ('prompt_file', 'score_batch', 'score_dir')
# Settings of a prompter and its backend that change how answers are got, not what they say.
PROMPTER_NOT_IDENTITY = ('cache', 'max_calls', 'max_failures')
BACKEND_NOT_IDENTITY = ('base_url', 'api_key_env', 'max_retries', 'timeout', 'concurrency',
                        'device')
# Settings of class statistics that change how fast they are made and where they lie.
STATISTICS_NOT_IDENTITY = ('batch_size', 'statistics_dir')


def describe_parts(cfg) -> Dict[str, str]:
    """Fingerprints of the parts of a config that decide what comes out.

    Args:
        cfg: Config of a job.

    Returns:
        dict: One hash per part; the weights of the proxy are not among them.

    Raises:
        FileNotFoundError: If the config of the proxy is missing.
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
    proxy = dict(model.pop('proxy', None) or {})
    proxy.pop('checkpoint', None)
    if proxy.get('cfg') is not None:  # by what the file says, wherever it lies
        proxy['cfg'] = fingerprint(proxy['cfg'])
    diffusion = dict(model.pop('diffusion', None) or {})
    for key in ('compile', 'gradient_checkpointing'):
        diffusion.pop(key, None)
    settings = {k: v for k, v in cfg.train_cfg.items() if k not in NOT_IDENTITY}
    parts = dict(
        model=model, proxy=proxy, diffusion=diffusion, train_cfg=settings,
        dataset=cfg.train_dataloader['dataset'],
        custom_hooks=[hook for hook in cfg.get('custom_hooks') or [] if changes_images(hook)])
    return {name: fingerprint(dict(part=part)) for name, part in parts.items()}


def describe_raw_samples(cfg) -> str:
    """Fingerprint of what decides the images of a config before refinement.

    Args:
        cfg: Config of a job; the weights of its proxy are not looked at.
    """
    unrefined = copy.deepcopy(cfg)
    unrefined.model.pop('refiners', None)
    unrefined.train_cfg = dict(budget=cfg.train_cfg['budget'])
    return fingerprint(dict(parts=describe_parts(unrefined)))


def without(settings: Mapping[str, Any], names: Sequence[str]) -> Dict[str, Any]:
    """A copy of settings that lacks some of them."""
    return {name: value for name, value in settings.items() if name not in names}


def describe_job(cfg, distiller) -> Dict[str, Any]:
    """The job with the weights of its proxy and of a fine-tuning, by their content.

    Args:
        cfg: Config of the Runner.
        distiller: The distiller.

    Returns:
        dict: :func:`describe_parts`, and ``fingerprint`` over all of them;
        ``raw_samples``, what decides the images before refinement, and ``refined``.
    """
    job = describe_parts(cfg)
    checkpoint = (cfg.model.get('proxy') or {}).get('checkpoint')
    if distiller.proxy is not None and checkpoint is not None:
        job['proxy_weights'] = sha256(resolve_path(checkpoint))
    raw = dict(raw=describe_raw_samples(cfg), weights=job.get('proxy_weights'))
    fine_tuned = getattr(distiller, 'fine_tune', None)
    if fine_tuned is not None:
        job['fine_tuned_weights'] = raw['fine_tuned'] = fingerprint(dict(
            files=[sha256(resolve_path(path)) for path in fine_tuned.files]))
    job['fingerprint'] = fingerprint(job)
    job['raw_samples'] = fingerprint(raw)
    job['refined'] = bool(cfg.model.get('refiners'))
    return job


def changes_images(hook: Any) -> bool:
    """Whether a hook of a config takes part in denoising."""
    kind = hook['type'] if isinstance(hook, dict) else type(hook)
    kind = HOOKS.get(kind) if isinstance(kind, str) else kind
    return any(hasattr(kind, stage) for stage in DENOISE_STAGES)
