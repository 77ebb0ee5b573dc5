"""The schedulers of diffusers that the adapters can step with."""
import inspect
import os.path as osp
from typing import Any, Mapping, Optional, Tuple

from mmdd.utils.config import suggestion
from .loading import first_line

PREDICTIONS = ('epsilon', 'v_prediction')
SUPPORTED = ('supported are schedulers over betas, such as DDIMScheduler, DDPMScheduler, '
             'EulerDiscreteScheduler or DPMSolverMultistepScheduler, for denoisers that predict '
             "'epsilon' or 'v_prediction'")
FLOW = 'FlowMatchEulerDiscreteScheduler'


def build_scheduler(folder: Optional[str], settings: Optional[Mapping[str, Any]],
                    flow: bool = False) -> Tuple[Any, str]:
    """A diffusers scheduler that consumes noise predictions.

    A denoiser that predicts v is converted by the adapter, so guidance always
    acts on noise.

    Args:
        folder: Folder in diffusers layout or hub id whose scheduler gives the settings that
            are not named; None has diffusers' defaults.
        settings: ``dict(type=<a diffusers scheduler>, ...)``; DDIM by default.
        flow: Whether the prior is one of flow matching, which steps with
            ``FlowMatchEulerDiscreteScheduler`` alone.

    Returns:
        tuple: the scheduler, and what the denoiser predicts: 'epsilon' or 'v_prediction', or
        'flow', the velocity.

    Raises:
        ValueError: If there is no such scheduler, or it is of another kind of model: flow
            matching, consistency models, denoisers that predict z_0.
    """
    import diffusers
    settings = dict(settings or {})
    kind = settings.pop('type', FLOW if flow else 'DDIMScheduler')
    cls = getattr(diffusers, kind, None)
    if cls is None or not hasattr(cls, 'set_timesteps'):
        known = [name for name in dir(diffusers) if name.endswith('Scheduler')]
        raise ValueError(f'scheduler.type {kind!r} is no scheduler of diffusers'
                         f'{suggestion(kind, known)}')
    base = {} if folder is None else load_settings(cls, folder)
    trained_by = base.get('_class_name', kind)
    base.update(settings)
    if flow:
        check_flow(kind, trained_by, base)
        return make(cls, base), 'flow'
    for name in (kind, trained_by):
        if 'Flow' in name:
            raise ValueError(f'scheduler {name} is for flow matching, which this prior is not: '
                             f'StableDiffusion3 and Flux are; {SUPPORTED}')
    if base.get('use_flow_sigmas'):
        raise ValueError(f'scheduler.use_flow_sigmas is for flow matching, which this prior is '
                         f'not; {SUPPORTED}')
    prediction = base.get('prediction_type', 'epsilon')
    if prediction not in PREDICTIONS:
        raise ValueError(f'scheduler.prediction_type {prediction!r} is not supported; {SUPPORTED}')
    if 'clip_sample' in inspect.signature(cls).parameters:
        # Latents are no images: they lie beyond [-1, 1].
        base.setdefault('clip_sample', False)
    scheduler = make(cls, base, prediction_type='epsilon')
    if not hasattr(scheduler, 'alphas_cumprod'):
        raise ValueError(f'scheduler.type {kind!r} is not supported: it has no betas; {SUPPORTED}')
    return scheduler, prediction


def check_flow(kind: str, trained_by: str, settings: Mapping[str, Any]) -> None:
    """Check that a scheduler is one for flow matching, from noise to images.

    Args:
        kind: Class of the scheduler.
        trained_by: Class of the scheduler that comes with the weights.
        settings: Settings of the scheduler.

    Raises:
        ValueError: If it is not.
    """
    for name in (kind, trained_by):
        if name != FLOW:
            raise ValueError(f'scheduler {name} is not supported: StableDiffusion3 and Flux are '
                             f'flow-matching priors; give scheduler.type {FLOW!r} and weights '
                             f'of such a prior')
    if settings.get('invert_sigmas'):
        raise ValueError('scheduler.invert_sigmas is not supported: steps go from noise to images')


def make(cls, settings: Mapping[str, Any], **kwargs) -> Any:
    """A diffusers scheduler of these settings.

    Raises:
        ValueError: If it does not take them.
    """
    try:
        return cls.from_config(dict(settings), **kwargs)
    except Exception as e:  # whatever diffusers and torch make of the settings
        raise ValueError(f'model.diffusion.scheduler: {cls.__name__} does not take these settings '
                         f'({first_line(e)})') from None


def load_settings(cls, folder: str) -> dict:
    """Settings of the scheduler in a diffusers folder, as ``cls`` reads them.

    Raises:
        ValueError: If there are none.
    """
    try:
        return dict(cls.load_config(folder, subfolder='scheduler'))
    except Exception as e:
        raise ValueError(
            f'cannot load the scheduler of {folder!r} ({first_line(e)}); give '
            f'model.diffusion.pretrained a complete diffusers folder or hub id') from None


def check_scheduler(folder: Optional[str], settings: Optional[Mapping[str, Any]],
                    flow: bool = False) -> Any:
    """Check that a scheduler is supported, see :func:`build_scheduler`.

    Args:
        folder: What the scheduler comes from; a hub id is not asked for it.
        settings, flow: As for :func:`build_scheduler`.

    Returns:
        The scheduler, as far as it is known without the hub.

    Raises:
        ValueError: If it is not.
    """
    return build_scheduler(
        folder if folder is not None and osp.isdir(folder) else None, settings, flow)[0]


def check_renoise(scheduler: Any) -> None:
    """Check that a step of a scheduler can be done again.

    Raises:
        ValueError: If it counts its steps or remembers earlier ones.
    """
    if hasattr(scheduler, 'step_index') or hasattr(scheduler, 'ets'):
        raise ValueError(f'recurrence needs a scheduler without memory such as DDIMScheduler, not '
                         f'{type(scheduler).__name__}')
