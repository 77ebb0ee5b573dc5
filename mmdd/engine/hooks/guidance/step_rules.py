"""How far a gradient moves a sample."""
from typing import Optional

import torch
from torch import Tensor

STEPS = ('scale', 'relative', 'polyak')
# Below this length a gradient has no direction worth following.
LEAST_NORM = 1e-6


def step_factor(rule: str, gradient: Tensor, reference: Tensor,
                energy: Optional[Tensor] = None) -> Tensor:
    r"""The factor f of a step :math:`c f g` along the gradient g of each sample.

    With r the reference, which is the noise prediction for a change of the noise and the
    clean estimate for a change of that, and norms over all elements of a sample:

    - 'scale': 1.
    - 'relative': :math:`\|r\| / \|g\|`, so that the step has the length
      :math:`c \|r\|` whatever the energy is (LGD, FreeDoM; DSG, 2402.03201).
    - 'polyak': :math:`\|r\| L / \|g\|^2`, Polyak's step size L / ‖g‖² for an energy whose
      least value is 0, times ‖r‖ (Shen et al., 2403.12404). The step has the length
      :math:`c \|r\| \cdot L / \|g\|`: a multiple of the energy changes nothing, and the
      step vanishes where the energy does. L / ‖g‖ is a length in the space of the latents,
      about the distance to zero energy. An energy below 0 counts as 0.

    Args:
        rule: One of ``STEPS``.
        gradient: g, (B, C, h, w).
        reference: r, (B, C, h, w).
        energy: L, (B,); needed by 'polyak'.

    Returns:
        Tensor: f, (B, 1, 1, 1); with 'relative' and 'polyak' 0 where ‖g‖ < 1e-6.

    Raises:
        ValueError: If 'polyak' has no energy.
    """
    if rule == 'scale':
        return gradient.new_ones(len(gradient), 1, 1, 1)
    norm = gradient.flatten(1).norm(dim=1)
    factor = reference.flatten(1).norm(dim=1) / norm
    if rule == 'polyak':
        if energy is None:
            raise ValueError("step='polyak' needs an energy; a direction alone has none: use "
                             "step='relative' or override energy()")
        factor = factor * energy.to(factor).clamp_min(0) / norm
    return torch.where(norm < LEAST_NORM, torch.zeros_like(factor), factor).view(-1, 1, 1, 1)
