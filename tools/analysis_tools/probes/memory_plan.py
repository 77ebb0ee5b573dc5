"""What guided sampling needs of a GPU's memory, planned on networks without data."""
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from mmdd.models import DetectorProxy
from mmdd.registry import MODELS
from mmdd.utils.config import load_config
from .guidance_cost import random_slots
from .live_memory import count_saved, follow_memory, weight_bytes

DETECTOR = 'mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py'
# The architectures with random weights, and what differs from their configs.
ARCHS: Dict[str, Dict[str, Any]] = dict(
    sd15=dict(config='configs/_base_/diffusions/sd15_random.py', proxy=DETECTOR),
    sdxl=dict(config='configs/_base_/diffusions/sdxl_turbo_random.py', proxy=DETECTOR,
              cfg_scale=5., energy_decoder=dict(), scheduler=dict(type='DDIMScheduler')),
    tiny=dict(config='configs/_base_/diffusions/tiny_random.py', energy_decoder=dict(
        encoder_block_out_channels=(8, ) * 4, decoder_block_out_channels=(8, ) * 4),
        proxy='configs/_base_/proxies/faster-rcnn_digits.py'))
BATCHES = (1, 2, 4, 8)
MEMORIES = (16, 24, 40, 80)
GB = 10**9
# What the plan does not see: the CUDA context with its libraries and their workspaces, in
# bytes, and the share that the caching allocator loses to blocks of unlike sizes.
RESERVE = GB
FRAGMENTED = 0.1


@dataclass(frozen=True)
class Recipe:
    """Settings of guided sampling that decide what it takes up.

    Attributes:
        arch: A key of ``ARCHS``.
        size: Side of the images in pixels.
        wrt: Gradient through the denoiser ('latent') or around it ('denoised'), or '' for
            unguided sampling.
        decoder: What decodes for the energy, 'full' or 'small'.
        checkpointing: ``model.diffusion.gradient_checkpointing``.
        dtype: ``model.diffusion.dtype``.
    """
    arch: str = 'sd15'
    size: int = 512
    wrt: str = 'latent'
    decoder: str = 'full'
    checkpointing: bool = False
    dtype: str = 'bf16'

    def cells(self) -> Tuple[str, ...]:
        """The settings as the first cells of a table's row."""
        if not self.wrt:
            return self.arch, str(self.size), self.dtype, 'unguided', '-', '-'
        return (self.arch, str(self.size), self.dtype, self.wrt, self.decoder,
                'yes' if self.checkpointing else 'no')


@dataclass(frozen=True)
class Plan:
    """Bytes of one batch.

    Attributes:
        weights: Weights of prior, decoders and proxy, without text encoders that leave the GPU.
        saved: What a guided step keeps for its backward pass.
        text: Most that encoding the prompts adds to the weights, with such text encoders.
        step: Most that a denoising step adds to them.
        final: Most that decoding the images adds to them.
    """
    weights: int
    saved: int
    text: int
    step: int
    final: int

    @property
    def peak(self) -> int:
        """Most bytes of tensors at a time."""
        return self.weights + max(self.text, self.step, self.final)

    @property
    def needed(self) -> int:
        """Bytes of a GPU's memory on which the batch runs, with what the plan does not see."""
        return round(self.peak * (1 + FRAGMENTED)) + RESERVE


class Networks:
    """Prior and proxy, on the meta device their shapes without their data.

    Args:
        diffusion: Config of the adapter.
        proxy: mmdet config of the detector.
        device: Where they are.
    """

    def __init__(self, diffusion: dict, proxy: Any, device: str = 'meta') -> None:
        with torch.device('meta') if device == 'meta' else nullcontext():
            self.diffusion = MODELS.build(diffusion).to(device)
            self.proxy = DetectorProxy(proxy).to(device)
        self.small = self.diffusion.small_decoder
        # Without data they cannot leave; their bytes are told apart instead.
        self.offloaded = [part for name, part in self.diffusion.named_children()
                          if name.startswith('text_encoder')
                          and self.diffusion.offload_text_encoders]
        self.diffusion.offload_text_encoders = False

    @cached_property
    def weights(self) -> int:
        """Bytes of all weights but the small decoder's and those that leave the GPU."""
        parts = [part for name, part in self.diffusion.named_children()
                 if name != 'small_decoder' and part not in self.offloaded]
        return weight_bytes(*parts, self.proxy)

    def set(self, decoder: str, checkpointing: bool) -> None:
        """Choose the decoder of the energy, and whether activations are computed again."""
        self.diffusion.small_decoder = self.small if decoder == 'small' else None
        for part in (self.diffusion.denoiser, self.diffusion.vae, self.small):
            if part is not None:
                getattr(part, f'{"en" if checkpointing else "dis"}able_gradient_checkpointing')()

    def plan(self, batch: int, size: int, wrt: str) -> Plan:
        """The plan of a batch; ``wrt`` as of :class:`Recipe`."""
        slots = random_slots(batch, size, 1)
        shape = self.diffusion.latent_shape((size, size))
        latents = torch.empty((batch, *shape), device='meta')
        with torch.no_grad():
            with follow_memory() as text:
                condition = self.diffusion.encode_conditions(slots)
            with follow_memory() as final:
                self.diffusion.decode_final(latents)
        with follow_memory() as step, count_saved() as saved:
            self._step(latents, condition, wrt)
        small = self.diffusion.small_decoder
        weights = self.weights + (0 if small is None else weight_bytes(small))
        text_bytes = text.peak + weight_bytes(*self.offloaded)
        return Plan(weights, saved.total, text_bytes, step.peak, final.peak)

    def _step(self, latents: Tensor, condition: Any, wrt: str) -> None:
        """One step as ``SamplingLoop`` and ``GuidanceHook`` do it."""
        timestep = torch.tensor(self.diffusion.num_timesteps // 2)
        alpha = sigma = 0.5**0.5
        with torch.set_grad_enabled(wrt == 'latent'):
            target = latents.requires_grad_(wrt == 'latent')
            noise = self.diffusion.predict_noise(target, timestep, condition)
            denoised = (target - sigma * noise) / alpha
        if not wrt:
            return
        if wrt == 'denoised':
            denoised = target = denoised.detach().requires_grad_()
        images = self.diffusion.decode_latents(denoised, fast=True)
        torch.autograd.grad(detector_outputs(self.proxy, images), target)


def detector_outputs(proxy: DetectorProxy, images: Tensor) -> Tensor:
    """The sum of a two-stage detector's outputs, in the place of its energy.

    Proposals depend on data, which the meta device has not: each image gets as many as the
    detector's sampler may take at most, cut out of the finest map. What assignment and losses
    take up beside the networks is left out.
    """
    model = proxy.model
    x = proxy._inputs(images)[0]
    features = model.extract_feat(x)
    outputs = [part for level in model.rpn_head(features) for part in level]
    rois = model.train_cfg.rcnn.sampler.num
    side = model.roi_head.bbox_roi_extractor.roi_layers[0].output_size
    cut = features[0].mean((2, 3)).repeat_interleave(rois, 0)[..., None, None]
    outputs += model.roi_head.bbox_head(cut.expand(-1, -1, *side) * 1.)
    return sum(output.sum() for output in outputs)


@lru_cache(maxsize=2)
def networks(arch: str, dtype: str, device: str = 'meta') -> Networks:
    """The networks of an architecture; the last ones are kept."""
    settings = dict(ARCHS[arch])
    diffusion = load_config(settings.pop('config')).model.diffusion
    proxy = settings.pop('proxy')
    diffusion.update(settings, dtype=dtype)
    diffusion.type = f'mmdd.{diffusion.type}'
    return Networks(diffusion, proxy, device)


def networks_of(recipe: Recipe, device: str = 'meta') -> Networks:
    """The networks of a recipe, set to it."""
    parts = networks(recipe.arch, recipe.dtype, device)
    parts.set(recipe.decoder if recipe.wrt else 'full', recipe.checkpointing)
    return parts


def plan_recipe(recipe: Recipe, batch: int) -> Plan:
    """The plan of a recipe for a batch of this many images."""
    return networks_of(recipe).plan(batch, recipe.size, recipe.wrt)


def largest_batch(plans: Sequence[Plan], memory: int) -> int:
    """The largest batch that fits; 0 where not even one image does.

    Args:
        plans: Those of the batch sizes ``BATCHES``.
        memory: Bytes of the GPU. Each phase is interpolated between two of ``BATCHES``, and
            continues its last slope beyond them.
    """
    room = (memory - RESERVE) / (1 + FRAGMENTED)
    phases = [[plan.weights + getattr(plan, name) for plan in plans]
              for name in ('text', 'step', 'final')]
    return min(_largest(values, room) for values in phases if values[-1] > values[0])


def _largest(values: Sequence[int], room: float) -> int:
    """The largest batch of which one phase fits, with its bytes at ``BATCHES``."""
    if values[0] > room:
        return 0
    last = min(sum(value <= room for value in values), len(BATCHES) - 1)
    slope = (values[last] - values[last - 1]) / (BATCHES[last] - BATCHES[last - 1])
    return BATCHES[last - 1] + int((room - values[last - 1]) / slope)


COLUMNS = ('prior', 'size', 'dtype', 'gradient', 'decoder', 'checkpointing', 'saved / image',
           *(f'batch {batch}' for batch in BATCHES), *(f'{size} GB' for size in MEMORIES))


def plan_row(recipe: Recipe) -> Tuple[str, ...]:
    """One row of the table: settings, GB by batch size, largest batch by memory."""
    plans = [plan_recipe(recipe, batch) for batch in BATCHES]
    return (*recipe.cells(), f'{plans[0].saved / GB:.2f}',
            *(f'{plan.needed / GB:.1f}' for plan in plans),
            *(str(largest_batch(plans, size * GB)) for size in MEMORIES))


def variants(recipe: Recipe) -> List[Recipe]:
    """A recipe with both gradients, both decoders, with checkpointing and without."""
    return [replace(recipe, wrt=wrt, decoder=decoder, checkpointing=checkpointing)
            for wrt in ('latent', 'denoised') for decoder in ('full', 'small')
            for checkpointing in (False, True)]


# The table of docs/memory.md.
ROWS = [
    Recipe(wrt=''), Recipe(), Recipe(checkpointing=True),
    Recipe(decoder='small', checkpointing=True), Recipe(wrt='denoised', checkpointing=True),
    Recipe(size=256), Recipe(size=256, decoder='small', checkpointing=True),
    Recipe('sdxl', 1024, ''), Recipe('sdxl', 1024, checkpointing=True),
    Recipe('sdxl', 1024, decoder='small', checkpointing=True)]
