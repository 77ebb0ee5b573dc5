"""Mode guidance (MGD3, ICML 2025): each sample is pulled to a mode of its class."""
from typing import Any, Mapping

from mmengine.model import is_model_wrapper

from mmdd.engine import GuidanceHook
from mmdd.models import PrototypeDistiller
from mmdd.registry import HOOKS, MODELS
from mmdd.structures import DenoiseState


@MODELS.register_module()
class ModeGuidance(PrototypeDistiller):
    """`MGD3: Mode-Guided Dataset Distillation using Diffusion Models
    <https://arxiv.org/abs/2505.18963>`_: k-means finds the modes of each class in the latent
    space, as many as images are wanted; image j starts from noise and is pulled to mode j.

    Statistics, slots and resuming are those of :class:`PrototypeDistiller`; the pull is
    :class:`ModeGuidanceHook`.

    Args:
        diffusion: Config of the diffusion adapter.
        statistics: Config of the clustering; ``nearest=True`` takes the real latent that is
            nearest to a centre as the mode.
        kwargs: See :class:`PrototypeDistiller`.

    Raises:
        ValueError: If there is no ``statistics``.
    """

    def __init__(self, diffusion: dict, statistics: dict, **kwargs) -> None:
        if statistics is None:
            raise ValueError('ModeGuidance needs the modes: set model.statistics to '
                             "dict(type='LatentClusters')")
        super().__init__(diffusion=diffusion, statistics=statistics, **kwargs)


@HOOKS.register_module()
class ModeGuidanceHook(GuidanceHook):
    r"""Moves the mean of a denoising step towards the mode m_j of the slot.

    .. math:: \mu \leftarrow \mu - \lambda \sigma_t (\hat z_0 - m_j)

    where sigma_t is the deviation of the posterior q(z_{t-1} | z_t, z_0).

    Args:
        scale: lambda.
        stop: Share of the steps that are guided. In the released code these are the
            timesteps above 25 of 50, that is 24 of 50 steps.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, scale: float = 0.1, stop: float = 0.48) -> None:
        super().__init__(scale, wrt='denoised', stop=stop)

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check that the distiller knows modes, beside what every guidance needs.

        Raises:
            ValueError: If it does not.
        """
        super().check_model(model)
        if model.get('statistics') is None:
            raise ValueError('ModeGuidanceHook needs a distiller with modes, such as ModeGuidance')

    def before_sample(self, runner, state: DenoiseState) -> None:
        """Look up the modes of the slots."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.modes = model.prototypes(state.slots)

    def after_denoise(self, runner, state: DenoiseState) -> None:
        """The noise prediction stays as it is: the mean is moved instead."""

    def after_step(self, runner, state: DenoiseState) -> None:
        """Move z_{t-1} if this step lies in the window."""
        if self.is_active(state):
            pull = self.scale * posterior_deviation(state)
            state.latents = state.latents - pull * (state.denoised - self.modes)


def posterior_deviation(state: DenoiseState) -> float:
    r"""Deviation of q(z_s | z_t, z_0) after a step from t to s; 0 after the last one.

    With :math:`z_t = \alpha_t z_0 + \sigma_t \epsilon` of any forward process it is
    :math:`\sigma_s / \sigma_t \sqrt{\sigma_t^2 - (\alpha_t \sigma_s / \alpha_s)^2}`.
    """
    kept = state.alpha / state.next_alpha * state.next_sigma
    return state.next_sigma / state.sigma * max(0., state.sigma**2 - kept**2)**0.5
