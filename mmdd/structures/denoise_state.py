"""What guidance hooks see and change during denoising."""
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

import torch
from torch import Tensor

from .slot import DistillSlot

# Stages that a diffusion's `sample` fires, in this order. A hook takes part by
# having a method of that name: `def after_denoise(self, runner, state)`.
DENOISE_STAGES = ('before_sample', 'before_denoise', 'after_denoise', 'after_step',
                  'after_sample')


@dataclass
class DenoiseState:
    """The state of a batch between two denoising steps.

    B slots, latents of C x h x w, images of H x W.

    Attributes:
        slots: The B slots that are being made.
        latents: z_t, (B, C, h, w) fp32.
        generators: One generator per slot, for every random draw of its image.
        decode: Differentiable map from latents (B, C, h, w) to RGB images
            (B, 3, H, W), nominally in [0, 1], unclamped, fp32.
        num_steps: Number of denoising steps.
        step: Index of the current step, from 0.
        timestep: The scheduler's timestep t.
        alpha_bar: Cumulative product of (1 - beta) at t, in (0, 1); with flow matching that
            of the same signal-to-noise ratio.
        alpha: Factor of the clean latents in z_t = alpha z_0 + sigma epsilon, above 0.
        sigma: Factor of the noise in z_t. alpha^2 + sigma^2 = 1, with flow matching
            alpha + sigma = 1.
        next_alpha, next_sigma: These factors at the step that follows, 1 and 0 after the last
            one; set in `after_step`.
        noise_pred: Raw noise prediction (B, C, h, w), fp32.
        guided_noise: Noise prediction that the scheduler will use; hooks add
            to it.
        denoised: Clean estimate of eq. 3, (B, C, h, w), fp32. Attached to
            ``latents`` through the denoiser where ``needs_grad`` was set.
        needs_grad: Set in `before_denoise` to have that graph.
        graph_users: How many hooks will take a gradient through that graph. A hook
            adds one in `before_denoise`, and takes one away in `after_denoise`
            before its gradient, which keeps the graph if others are left.
        needs_branches: Set in `before_denoise` to have ``branches``.
        branches: With ``needs_branches`` the noise predictions of the branches of
            classifier-free guidance: 'text', with the condition, and 'uncond',
            without it, each (B, C, h, w) fp32, attached as ``denoised`` is; 'uncond'
            is None where the adapter runs one branch only.
        energy: Energies (B,) of the last evaluation that guided this step.
        recurrence: How often this step is done (1: once). Hooks raise it in
            `before_denoise`.
        repeat: How often this step was done before.
        stats: Per-slot counters that end in the manifest.
        guided_by: For each slot the hooks that were to guide it, each with whether it did in
            any step so far.
    """
    slots: List[DistillSlot]
    latents: Tensor
    generators: List[torch.Generator]
    decode: Callable[[Tensor], Tensor]
    num_steps: int
    step: int = 0
    timestep: int = 0
    alpha_bar: float = 1.
    alpha: float = 1.
    sigma: float = 0.
    next_alpha: float = 1.
    next_sigma: float = 0.
    noise_pred: Optional[Tensor] = None
    guided_noise: Optional[Tensor] = None
    denoised: Optional[Tensor] = None
    needs_grad: bool = False
    graph_users: int = 0
    needs_branches: bool = False
    branches: Optional[Dict[str, Optional[Tensor]]] = None
    energy: Optional[Tensor] = None
    recurrence: int = 1
    repeat: int = 0
    stats: List[Dict[str, float]] = field(default_factory=list)
    guided_by: List[Dict[int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.stats:
            self.stats = [{} for _ in self.slots]
        if not self.guided_by:
            self.guided_by = [{} for _ in self.slots]

    @property
    def clean_slope(self) -> float:
        """Jacobian of the clean estimate in z_t, a number, for latents of unit variance.

        alpha / (alpha^2 + sigma^2): alpha itself where the process preserves the variance,
        which the rounding keeps exact, and in a state that says alpha alone.
        """
        if not self.sigma:
            return self.alpha
        return self.alpha / round(self.alpha**2 + self.sigma**2, 9)

    def count(self, index: int, name: str, amount: float = 1) -> None:
        """Add ``amount`` to a counter of the slot at ``index`` of the batch."""
        self.stats[index][name] = self.stats[index].get(name, 0) + amount

    def note_guidance(self, hook: object, guided: List[bool]) -> None:
        """Remember which slots a hook guided in a step, and count those that it skipped.

        Args:
            hook: The hook.
            guided: For each slot whether its gradient could be used.
        """
        for i, done in enumerate(guided):
            own = self.guided_by[i]
            own[id(hook)] = own.get(id(hook), False) or done
            if not done:
                self.count(i, 'skipped_gradients')
