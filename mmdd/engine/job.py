"""What identifies a distillation job."""
from typing import Any, Dict

from mmdd.utils.config import fingerprint, resolve_path
from mmdd.utils.io import sha256

# Fields that change speed or place, not the images.
NOT_IDENTITY = ('batch_size', 'resume', 'out_dir')


def describe_job(cfg, distiller) -> Dict[str, Any]:
    """Fingerprints of the parts of a job that decide what comes out.

    Args:
        cfg: Config of the Runner.
        distiller: The distiller, whose proxy's weights count by their content.

    Returns:
        dict: One hash per part, and ``fingerprint`` over all of them.
    """
    model = dict(cfg.model)
    model.pop('prompt_file', None)
    proxy = dict(model.pop('proxy', None) or {})
    checkpoint = proxy.pop('checkpoint', None)
    diffusion = dict(model.pop('diffusion', None) or {})
    for key in ('compile', 'gradient_checkpointing'):
        diffusion.pop(key, None)
    settings = {k: v for k, v in cfg.train_cfg.items() if k not in NOT_IDENTITY}
    parts = dict(
        model=model, proxy=proxy, diffusion=diffusion, train_cfg=settings,
        dataset=cfg.train_dataloader['dataset'],
        custom_hooks=[hook for hook in cfg.get('custom_hooks') or []
                      if 'Guidance' in str(hook.get('type'))] )
    job = {name: fingerprint(dict(part=part)) for name, part in parts.items()}
    if distiller.proxy is not None and checkpoint is not None:
        job['proxy_weights'] = sha256(resolve_path(checkpoint))
    job['fingerprint'] = fingerprint(job)
    return job
