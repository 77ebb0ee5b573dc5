"""LoRA weights of one's own data: the model of a stock training job."""
from dataclasses import fields, is_dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmdd.datasets.annotations import annotations_from_batch
from mmdd.datasets.class_names import spoken_names
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import ClassTarget, DistillSlot
from mmdd.utils.components import check_part, class_of
from mmdd.utils.numbers import check_number
from .fine_tuner import FineTuner
from .loading import pick_dtypes
from .lora import ATTENTION, add_trainable_lora, check_peft, write_lora


@MODELS.register_module()
class LoRATrainer(FineTuner):
    """`LoRA: Low-Rank Adaptation of Large Language Models <https://arxiv.org/abs/2106.09685>`_
    on the denoiser of a text-to-image prior.

    Minimises the squared error of what the prior predicts (noise, v, or the velocity of flow
    matching) at random timesteps, for prompts that a prompter makes of the labels. ``LoRAHook``
    tells the class names and writes the file that ``model.diffusion.lora`` reads.

    Boxes and masks are read in pixels of the original image: resize it before
    ``LoadAnnotations``, and neither crop nor flip it where prompts tell places.

    Args:
        diffusion: Config of the prior: ``StableDiffusion``, ``StableDiffusionXL``,
            ``StableDiffusion3`` or ``Flux``. The frozen weights have its ``dtype``, but 'auto'
            is never fp16; LoRA weights are fp32.
        rank: Rank of what is added to a weight.
        alpha: It is multiplied by alpha / rank; None takes the rank.
        target_modules: Endings of the names of the layers that get LoRA weights; None takes the
            projections of attention.
        prompter: Config of a prompter that reads labels.
        prompt_dropout: Share of the images whose condition is that of the other branch of
            classifier-free guidance, without a negative prompt.
        sample_posterior: Draw latents from the autoencoder's posterior instead of taking its
            mean.
        gradient_checkpointing: Trade time for memory.
        seed: Seed of the first weights and of the noise.

    Attributes:
        classes: Class names by label index; ``LoRAHook`` sets them.

    Raises:
        ValueError: If peft is missing, a setting is out of range, the prior has LoRA weights
            already or reads no text, or no layer has one of the names.
    """

    limits: Dict[str, Any] = dict(
        rank=dict(low=1), prompt_dropout=dict(low=0, high=1), seed=dict(low=0))

    def __init__(self,
                 diffusion: dict,
                 rank: int = 8,
                 alpha: Optional[float] = None,
                 target_modules: Optional[Sequence[str]] = None,
                 prompter: Optional[dict] = None,
                 prompt_dropout: float = 0.1,
                 sample_posterior: bool = False,
                 gradient_checkpointing: bool = False,
                 seed: int = 0,
                 data_preprocessor: Optional[dict] = None) -> None:
        prompter = prompter or dict(type='ClassPrompter')
        self.check_config(dict(diffusion=diffusion, prompter=prompter))
        check_number('LoRATrainer: rank', rank, low=1, integer=True)
        alpha = rank if alpha is None else check_number('LoRATrainer: alpha', alpha, above=0)
        # With both branches, one of which is what a dropped prompt is replaced by.
        prior = MODELS.build(dict(
            diffusion, dtype=training_dtype(diffusion), cfg_scale=2., negative_prompt='',
            gradient_checkpointing=gradient_checkpointing))
        trained = add_trainable_lora(
            prior.denoiser, rank, alpha, target_modules or ATTENTION, seed)
        role = next(name for name, part in prior.named_children() if part is prior.denoiser)
        super().__init__(prior, role, trained, sample_posterior=sample_posterior, seed=seed,
                         data_preprocessor=data_preprocessor)
        self.prompter = TASK_UTILS.build(prompter)
        self.prompt_dropout = check_number(
            'LoRATrainer: prompt_dropout', prompt_dropout, low=0, high=1)
        self.classes: Tuple[str, ...] = ()

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Check a config, and that what it needs is there, before anything is loaded.

        Raises:
            ValueError: If not; see above.
        """
        check_peft('LoRATrainer')
        check_part('model.diffusion', MODELS, cfg['diffusion'])
        check_prior(cfg['diffusion'])
        if cfg.get('prompter') is not None:
            check_part('model.prompter', TASK_UTILS, cfg['prompter'])
            check_prompter(cfg['prompter'])

    def read(self, data_samples: Sequence[Any]) -> List[str]:
        """The prompts of images.

        Raises:
            ValueError: If the class names are not known, or an image has no label.
        """
        if not self.classes:
            raise ValueError("LoRATrainer does not know the class names: add "
                             "dict(type='LoRAHook') to custom_hooks")
        layouts = annotations_from_batch(dict(data_samples=data_samples), self.classes)
        return self.prompter.prompts(layouts, spoken_names(self.classes))

    def losses(self, clean: Tensor, told: Sequence[str],
               draws: torch.Generator) -> Dict[str, Tensor]:
        """The squared error of what the prior predicts.

        Args:
            clean: z_0 (B, C, h, w).
            told: Prompts.
            draws: Source of timesteps, noise and dropped prompts.
        """
        prior, dtype = self.prior, self.denoiser.dtype
        t = prior.training_timesteps(len(clean), draws).to(clean.device)
        noise = torch.randn(clean.shape, generator=draws).to(clean)
        dropped = torch.rand(len(clean), generator=draws) < self.prompt_dropout
        noisy = prior.add_noise(clean, noise, t)
        output = prior.run_denoiser(
            noisy.to(dtype), t, self.conditions(told, dropped, clean.shape)).float()
        prior.count_passes(len(clean))
        target = prior.training_target(clean, noise, t)
        return dict(loss=(output - target).square().mean())

    @torch.no_grad()
    def conditions(self, prompts: Sequence[str], dropped: Tensor, shape: Sequence[int]) -> Any:
        """What the denoiser is told.

        Args:
            prompts: B prompts.
            dropped: Which of them are dropped, (B,) bool.
            shape: (B, C, h, w) of the latents, which the size of the images follows from.

        Raises:
            ValueError: If the prior cannot have images of that size.
        """
        factor = self.prior.factor
        size = shape[2] * factor, shape[3] * factor
        try:
            self.prior.latent_shape(size)
        except ValueError as e:
            raise ValueError(f'{str(e).rpartition(";")[0]}; resize the images in '
                             f'train_dataloader.dataset.pipeline') from None
        both = self.prior.encode_conditions([
            DistillSlot(i, 0, size, target=ClassTarget(np.zeros(0, int)), prompt=prompt)
            for i, prompt in enumerate(prompts)])
        rows = torch.arange(len(prompts)) + len(prompts) * ~dropped
        return take_rows(both, rows)

    def write(self, path: str) -> None:
        """Write the LoRA weights as ``model.diffusion.lora`` reads them, see
        :func:`write_lora`."""
        write_lora(path, self.denoiser, self.role)


def check_prior(diffusion: Mapping[str, Any]) -> None:
    """Check the config of a prior that gets LoRA weights, and that its weights are there.

    Raises:
        ValueError: If it reads no text, or has LoRA weights already.
    """
    kind = class_of(MODELS, diffusion)
    if not getattr(kind, 'reads_prompts', False):
        raise ValueError(f'LoRATrainer: {kind.__name__} reads no prompts; give model.diffusion a '
                         f'text-to-image prior')
    if diffusion.get('lora') is not None:
        raise ValueError('LoRATrainer: model.diffusion.lora is given, but new LoRA weights are '
                         'for the plain prior; remove it')
    training_dtype(diffusion)
    kind.check_config(diffusion)


def check_prompter(prompter: Mapping[str, Any]) -> None:
    """Check that a prompter makes prompts of labels alone.

    Raises:
        ValueError: If it looks at images: it would be asked at every step.
    """
    kind = class_of(TASK_UTILS, prompter)
    if getattr(kind, 'reads_images', False):
        raise ValueError(f'LoRATrainer: {kind.__name__} looks at image files, at every step anew; '
                         f"set model.prompter to dict(type='AnnotationPrompter')")


def training_dtype(diffusion: Mapping[str, Any]) -> str:
    """The dtype of frozen weights: that of the config, where 'auto' is bf16 or fp32.

    Raises:
        ValueError: If the config says 'fp16', in which small gradients vanish.
    """
    dtype = diffusion.get('dtype', 'auto')
    if pick_dtypes(dtype)[0] != torch.float16:
        return dtype
    if dtype == 'auto':
        return 'fp32'
    raise ValueError("LoRATrainer: small gradients vanish in fp16; set model.diffusion.dtype to "
                     "'bf16' or 'fp32'")


def take_rows(condition: Any, rows: Tensor) -> Any:
    """Some rows of what a denoiser is told: a tensor, or a dataclass of tensors."""
    if is_dataclass(condition) and not isinstance(condition, type):
        return replace(condition, **{field.name: take_rows(getattr(condition, field.name), rows)
                                     for field in fields(condition)})
    return condition[rows.to(condition.device)]
