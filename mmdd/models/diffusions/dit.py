"""Class-conditional diffusion transformers (DiT) through diffusers."""
import json
import os.path as osp
from typing import Dict, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmdd.datasets.class_names import imagenet_indices
from mmdd.registry import MODELS
from mmdd.structures import DenoiseState, DistillSlot
from mmdd.utils.numbers import check_number
from .autoencoder import AutoencoderMixin
from .base import BaseDiffusion
from .difffit import merge_scale_factors, untie_embedders
from .execution import check_attention_backend, run_as
from .loading import first_line, load_autoencoder, load_module, pick_dtypes
from .scheduling import build_scheduler, check_scheduler
from .weights import check_folder, check_separate, locate_weights

ClassMap = Union[str, Sequence[int], None]


@MODELS.register_module()
class DiT(AutoencoderMixin, BaseDiffusion):
    """`Scalable Diffusion Models with Transformers
    <https://arxiv.org/abs/2212.09748>`_ (ICCV 2023): a transformer on latents
    that is conditioned on a class.

    A slot's class is the first of its labels; its prompt is not read. Three
    ways to build: ``pretrained`` names a local folder in the layout of
    diffusers' ``DiTPipeline`` (``transformer``, ``vae``, ``scheduler``) or a hub
    id (safetensors only), ``mmdd::priors/digits-dit`` is the prior that ships
    with mmdd; or explicit small networks through ``transformer`` and ``vae``,
    with random weights.

    A transformer with twice as many outputs as latent channels also predicts
    the variance of a step. Schedulers with ``variance_type='learned_range'``
    use it (``dict(type='DDPMScheduler', variance_type='learned_range')`` is the
    ancestral sampling of the released code of DiT and Minimax, there with
    ``timestep_spacing='linspace'``); others, such as the default
    DDIM, do not.

    Args:
        pretrained: Folder, hub id or ``mmdd::`` path.
        steps: Number of denoising steps.
        cfg_scale: Scale of classifier-free guidance by the null class; 1 runs
            the conditional branch alone.
        cfg_channels: How many latent channels guidance acts on; None means all,
            as the papers write. The released code of DiT and Minimax guides the
            first 3 and takes the conditional prediction for the rest.
        class_map: The prior's class of each label of the real set: indices, or
            the name of an ImageNet subset in ``mmdd.datasets.class_names`` for a
            prior of ImageNet-1K; None where they are the same.
        scheduler: ``dict(type=<a diffusers scheduler>, ...)``; the remaining
            settings come from the pretrained folder.
        dtype: As for :class:`StableDiffusion`.
        final_dtype: As for :class:`StableDiffusion`.
        compile: Whether to ``torch.compile`` the denoiser.
        gradient_checkpointing: As for :class:`StableDiffusion`.
        channels_last: As for :class:`StableDiffusion`, of the autoencoder alone.
        attention_backend: As for :class:`StableDiffusion`.
        transformer: Settings of diffusers' ``DiTTransformer2DModel``.
        vae: Settings of diffusers' ``AutoencoderKL``, or the folder of an autoencoder that
            is not in ``pretrained``. One of a folder may also be an ``AutoencoderTiny``; its
            latents have no posterior.
        seed: Seed of the random weights of explicit networks.

    Raises:
        ValueError: If weights are missing or corrupt, or a setting is unknown
            or out of range.
    """

    limits = dict(cfg_channels=dict(low=1))

    def __init__(self,
                 pretrained: Optional[str] = None,
                 steps: int = 50,
                 cfg_scale: float = 4.,
                 cfg_channels: Optional[int] = None,
                 class_map: ClassMap = None,
                 scheduler: Optional[dict] = None,
                 dtype: str = 'auto',
                 final_dtype: str = 'fp32',
                 compile: bool = False,
                 gradient_checkpointing: bool = False,
                 channels_last: bool = False,
                 attention_backend: Optional[str] = None,
                 transformer: Optional[dict] = None,
                 vae: Union[str, dict, None] = None,
                 seed: int = 0) -> None:
        check_number('model.diffusion: cfg_scale', cfg_scale)
        denoiser_dtype, decoder_dtype = pick_dtypes(dtype)
        folder = None if pretrained is None else locate_weights(pretrained)
        scheduler, prediction_type = build_scheduler(folder, scheduler)
        super().__init__(scheduler, steps, prediction_type)
        self.cfg_scale = cfg_scale
        self.cfg_channels = cfg_channels
        self.final_dtype = final_dtype
        self.small_decoder = None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.transformer = load_module(
                'DiTTransformer2DModel', folder, 'transformer', transformer,
                denoiser_dtype)
            self.vae = load_autoencoder(folder, vae, denoiser_dtype, decoder_dtype)
        if self.vae.config.latent_channels != self.channels:
            raise ValueError(
                f'model.diffusion: the autoencoder has {self.vae.config.latent_channels} latent '
                f'channels, the transformer {self.channels}; give vae the one it was trained with')
        self.class_ids = resolve_class_map(class_map)
        check_class_ids(self.class_ids or (), self.num_classes)
        if cfg_channels is not None and not 0 < cfg_channels <= self.channels:
            raise ValueError(f'DiT: cfg_channels must be in [1, {self.channels}], '
                             f'got {cfg_channels}')
        if self.learns_variance and self.transformer.config.out_channels != 2 * self.channels:
            raise ValueError(
                f'{type(self.scheduler).__name__}: variance_type '
                f'{self.scheduler.config.variance_type!r} needs a transformer with '
                f'{2 * self.channels} output channels, this one has {self.out_channels}')
        self._variance: Optional[Tensor] = None
        # What a fine-tuning replaced.
        self._pretrained: Dict[str, Tensor] = {}
        self.requires_grad_(False).eval()
        run_as(self.transformer, [self.vae], compile, gradient_checkpointing, channels_last,
               attention_backend)

    @classmethod
    def check_config(cls, cfg: Mapping) -> None:
        """Check settings, and that the weights of a config are there and whole."""
        pick_dtypes(cfg.get('dtype', 'auto'))
        check_scheduler(None, cfg.get('scheduler'))
        resolve_class_map(cfg.get('class_map'))
        check_attention_backend(cfg.get('attention_backend'), 'DiTTransformer2DModel')
        if cfg.get('pretrained') is not None:
            networks = ['transformer', *([] if isinstance(cfg.get('vae'), str) else ['vae'])]
            folder = locate_weights(cfg['pretrained'])
            check_folder(folder, networks, ('scheduler', ))
            check_scheduler(folder, cfg.get('scheduler'))
        check_separate(cfg, 'vae')

    @classmethod
    def check_classes(cls, cfg: Mapping, classes: Sequence[str]) -> None:
        """Check that the prior has a class for each of the real set, without loading it.

        Raises:
            ValueError: If the map has another length, or the prior has fewer classes.
        """
        ids = resolve_class_map(cfg.get('class_map'))
        if ids is not None and len(ids) != len(classes):
            raise ValueError(f'model.diffusion.class_map has {len(ids)} classes, the real set '
                             f'has {len(classes)}')
        known = known_classes(cfg)
        if known is not None:
            check_class_ids(range(len(classes)) if ids is None else ids, known)

    @property
    def denoiser(self) -> torch.nn.Module:
        """The transformer."""
        return self.transformer

    @property
    def num_classes(self) -> int:
        """Classes of the prior, without the null class."""
        return self.transformer.config.num_embeds_ada_norm

    @property
    def channels(self) -> int:
        """Latent channels."""
        return self.transformer.config.in_channels

    @property
    def out_channels(self) -> int:
        """Output channels of the transformer."""
        return self.transformer.config.out_channels or self.channels

    @property
    def learns_variance(self) -> bool:
        """Whether the scheduler takes its variance from the transformer."""
        return self.scheduler.config.get('variance_type') in ('learned', 'learned_range')

    def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]:
        """(C, h, w) of the latents of an image of ``size``; a DiT has one size."""
        side = self.transformer.config.sample_size
        if tuple(size) != (side * self.factor, ) * 2:
            raise ValueError(f'DiT: this prior makes images of {side * self.factor} pixels '
                             f'square, got model.image_size={tuple(size)}')
        return self.channels, side, side

    def prior_classes(self, labels: Sequence[int]) -> Tensor:
        """The prior's classes (B,) of labels of the real set.

        Raises:
            ValueError: If the prior has no such class.
        """
        if self.class_ids is not None and max(labels) >= len(self.class_ids):
            raise ValueError(f'DiT: class_map has {len(self.class_ids)} classes, a slot asks for '
                             f'label {max(labels)}')
        ids = [label if self.class_ids is None else self.class_ids[label] for label in labels]
        check_class_ids(ids, self.num_classes)
        return torch.tensor(ids, device=self.device)

    def encode_conditions(self, slots: Sequence[DistillSlot]) -> Tensor:
        """Class ids: (2B,) with the null classes last, or (B,)."""
        ids = self.prior_classes([int(slot.labels[0]) for slot in slots])
        if self.cfg_scale > 1:
            ids = torch.cat([ids, torch.full_like(ids, self.num_classes)])
        return ids

    def load_fine_tuned(self, state: Mapping[str, Tensor]) -> None:
        """Take over what a fine-tuning trained; the rest is as it was pretrained.

        Args:
            state: Parameters of a transformer of this shape by name, with DiffFit's scale
                factors, which are multiplied into the weights, or without.

        Raises:
            ValueError: If they are of another transformer.
        """
        pretrained = {**self.transformer.state_dict(), **self._pretrained}
        pretrained, state = (
            {key: value.to(self.device) for key, value in weights.items()} for weights in (
                pretrained, untie_embedders(state, len(self.transformer.transformer_blocks))))
        try:
            merged = merge_scale_factors({**pretrained, **state})
            changed = {key: pretrained[key].cpu().clone() for key, value in merged.items()
                       if value is not pretrained.get(key)}
            self.transformer.load_state_dict(merged)
        except (KeyError, RuntimeError) as e:
            raise ValueError(f'the fine-tuned weights do not fit model.diffusion '
                             f'({first_line(e)}, ...)') from None
        self._pretrained = changed

    def predict_branches(self, latents: Tensor, timestep: Tensor,
                         condition: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        """Noise predictions with the class and with the null class, see BaseDiffusion."""
        double = len(condition) == 2 * len(latents)
        z = torch.cat([latents, latents]) if double else latents
        out = self.transformer(z.to(self.transformer.dtype), timestep=timestep.expand(len(z)),
                               class_labels=condition).sample.float()
        noise, variance = out[:, :self.channels], out[:, self.channels:]
        noise = self.as_noise(noise, z, timestep)
        self._variance = variance[:len(latents)].detach()
        if not double:
            return noise, None
        conditional, null = noise.chunk(2)
        return conditional, null

    def combine_branches(self, text: Tensor, uncond: Optional[Tensor]) -> Tensor:
        """Classifier-free guidance (B, C, h, w) of the first ``cfg_channels`` channels."""
        guided = super().combine_branches(text, uncond)
        if uncond is None or self.cfg_channels is None:
            return guided
        return torch.cat([guided[:, :self.cfg_channels], text[:, self.cfg_channels:]], 1)

    def _scheduler_step(self, state: DenoiseState, t: Tensor, x: Tensor) -> Tensor:
        if not self.learns_variance:
            return super()._scheduler_step(state, t, x)
        assert state.guided_noise is not None and self._variance is not None
        output = torch.cat([state.guided_noise, self._variance], 1)
        return self.scheduler.step(output, t, x, generator=state.generators).prev_sample


def resolve_class_map(class_map: ClassMap) -> Optional[Tuple[int, ...]]:
    """The prior's class of each label; None for the same.

    Raises:
        ValueError: If it is neither a known ImageNet subset nor a list of indices.
    """
    if class_map is None:
        return None
    if isinstance(class_map, str):
        return imagenet_indices(class_map)
    if not class_map or not all(isinstance(i, int) and i >= 0 for i in class_map):
        raise ValueError(f'DiT: class_map must be a list of class indices or the name of an '
                         f'ImageNet subset, got {class_map!r}')
    return tuple(class_map)


def check_class_ids(ids: Sequence[int], num_classes: int) -> None:
    """Check that a prior has these classes.

    Raises:
        ValueError: If not.
    """
    if ids and max(ids) >= num_classes:
        raise ValueError(
            f'the diffusion model knows {num_classes} classes, class {max(ids)} is asked for; '
            f'give model.diffusion.pretrained a prior of these classes or map them by class_map')


def known_classes(cfg: Mapping) -> Optional[int]:
    """Number of classes of a config's transformer; None where it is not on this disk."""
    if cfg.get('transformer') is not None:
        return cfg['transformer'].get('num_embeds_ada_norm', 1000)
    path = osp.join(locate_weights(cfg['pretrained']), 'transformer', 'config.json')
    if not osp.isfile(path):
        return None
    with open(path) as f:
        return json.load(f)['num_embeds_ada_norm']
