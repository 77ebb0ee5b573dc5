"""How the strength of guidance changes over the steps."""
import math

SCHEDULES = ('constant', 'linear', 'cosine', 'sigma', 'alpha')


def strength_factor(schedule: str, progress: float, alpha: float, sigma: float) -> float:
    r"""Factor on the strength of one step, in [0, 1].

    With p the progress: 'constant' 1, 'linear' 1 - p, 'cosine'
    :math:`(1 + \cos \pi p) / 2`, 'sigma' :math:`\sigma_t` (falls with the noise), 'alpha'
    :math:`\alpha_t` (rises as the image appears).

    Args:
        schedule: One of ``SCHEDULES``.
        progress: Share of the guided steps that are done, in [0, 1).
        alpha: Factor of the clean latents in z_t.
        sigma: Factor of the noise in z_t.
    """
    return {
        'constant': 1.,
        'linear': 1 - progress,
        'cosine': (1 + math.cos(math.pi * progress)) / 2,
        'sigma': sigma,
        'alpha': alpha,
    }[schedule]
