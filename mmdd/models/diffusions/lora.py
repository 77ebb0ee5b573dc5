"""LoRA weights on the denoiser of a prior."""
import importlib.util
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence

import torch
from torch import Tensor, nn

from mmdd.utils.config import resolve_path
from mmdd.utils.finite import check_weights
from mmdd.utils.io import atomic_path
from mmdd.utils.numbers import check_number
from .loading import first_line

KEY = 'model.diffusion.lora'
NAME = 'lora'
# Projections of attention in the U-Nets and transformers of diffusers; those of the text of SD3
# and FLUX have names of their own.
ATTENTION = ('to_q', 'to_k', 'to_v', 'to_out.0', 'add_q_proj', 'add_k_proj', 'add_v_proj',
             'to_add_out')


class TakesLora(Protocol):
    """A U-Net or transformer of diffusers, which reads LoRA weights by itself."""

    def load_lora_adapter(self, path: str, prefix: Optional[str], **kwargs: Any) -> None:
        """Add the weights of a file as layers of their own."""

    def fuse_lora(self, lora_scale: float, adapter_names: List[str]) -> None:
        """Add such layers into those that the model has."""

    def unload_lora(self) -> None:
        """Take such layers away."""


def check_lora(lora: Optional[Mapping[str, Any]]) -> None:
    """Check a setting ``lora``, and that its file is there and whole.

    Raises:
        ValueError: See :func:`lora_file`.
    """
    if lora is not None:
        lora_file(lora)


def lora_file(lora: Mapping[str, Any]) -> str:
    """The file of a setting ``lora``, which is there and whole.

    Args:
        lora: ``dict(path=..., scale=1.)``.

    Raises:
        ValueError: If a setting is wrong, the file is missing, damaged or no LoRA file in the
            names of diffusers, or peft is not installed.
    """
    if not isinstance(lora, Mapping) or 'path' not in lora or set(lora) - {'path', 'scale'}:
        raise ValueError(f'{KEY} must be dict(path=<a safetensors file>, scale=1.), got {lora!r}')
    check_number(f'{KEY}.scale', lora.get('scale', 1.))
    check_peft(KEY)
    try:
        path = resolve_path(lora['path'])
    except FileNotFoundError:
        path = ''
    if not osp.isfile(path) or not path.endswith('.safetensors'):
        raise ValueError(f'{KEY}.path: no safetensors file at {lora["path"]!r}')
    if not any('lora' in name for name in _names(path)):
        raise ValueError(f'{path} has no LoRA weights; give {KEY}.path a LoRA file')
    return path


def has_peft() -> bool:
    """Whether peft is installed, which diffusers reads LoRA weights with."""
    return importlib.util.find_spec('peft') is not None


def check_peft(what: str) -> None:
    """Check that peft is installed, which ``what`` needs.

    Raises:
        ValueError: If it is not.
    """
    if not has_peft():
        raise ValueError(f'{what} needs peft, which is not installed; run pip install peft')


def _names(path: str) -> List[str]:
    from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, 'pt') as weights:
            return list(weights.keys())
    except (SafetensorError, OSError) as e:
        raise ValueError(f'{path}: cannot be read as safetensors ({first_line(e)}); copy or '
                         f'download it again') from None


def add_lora(denoiser: TakesLora, lora: Optional[Mapping[str, Any]], role: str) -> None:
    """Add LoRA weights into those of a denoiser, which keeps its layers and their names.

    Args:
        denoiser: A U-Net or transformer.
        lora: See :func:`lora_file`; None has no LoRA weights.
        role: What names in the file may begin with, 'unet' or 'transformer'.

    Raises:
        ValueError: If they do not fit; see also :func:`lora_file`.
    """
    if lora is None:
        return
    path = lora_file(lora)
    prefix = role if any(name.startswith(f'{role}.') for name in _names(path)) else None
    try:
        with torch.random.fork_rng(devices=[]):  # layers are drawn before they are filled
            denoiser.load_lora_adapter(
                path, prefix=prefix, adapter_name=NAME, use_safetensors=True)
        loaded = NAME in getattr(denoiser, 'peft_config', {})
        if loaded:
            denoiser.fuse_lora(lora_scale=lora.get('scale', 1.), adapter_names=[NAME])
            denoiser.unload_lora()
    except Exception as e:  # whatever diffusers and peft make of the file
        raise ValueError(f'{path} does not fit the {role} ({first_line(e)}); give {KEY}.path LoRA '
                         f'weights of this prior in the names of diffusers') from None
    if not loaded:
        raise ValueError(f'{path} has no LoRA weights of the {role}; give {KEY}.path LoRA weights '
                         f'of this prior in the names of diffusers')


def add_trainable_lora(denoiser: Any, rank: int, alpha: float, targets: Sequence[str],
                       seed: int) -> List[str]:
    """Give a frozen denoiser LoRA weights to train, in fp32; at first they change nothing.

    Args:
        denoiser: A U-Net or transformer.
        rank: Of the product B A that is added to a weight.
        alpha: The product is multiplied by alpha / rank.
        targets: Endings of the names of the layers that get them.
        seed: Seed of A; B is zero.

    Returns:
        list: Names of the new parameters, which alone have gradients.

    Raises:
        ValueError: If no layer has such a name.
    """
    from peft import LoraConfig
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets),
                        init_lora_weights='gaussian')
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            denoiser.add_adapter(config, NAME)
        except ValueError as e:
            raise ValueError(f'model.target_modules: {list(targets)} cannot have LoRA weights '
                             f'({first_line(e)})') from None
    found = [name for name, parameter in denoiser.named_parameters() if parameter.requires_grad]
    for name in found:
        parameter = denoiser.get_parameter(name)
        parameter.data = parameter.data.float()
    return found


def write_lora(path: str, denoiser: nn.Module, role: str) -> None:
    """Write the LoRA weights of :func:`add_trainable_lora`, in the names of diffusers.

    alpha / rank is multiplied into B, so that whoever reads the file needs to know neither: what
    is added to a weight is B A.

    Args:
        path: A safetensors file.
        denoiser: The U-Net or transformer.
        role: What names in the file begin with, 'unet' or 'transformer'.

    Raises:
        ValueError: If a weight is not finite.
    """
    from safetensors.torch import save_file
    weights = lora_weights(denoiser, role)
    check_weights(weights, path)
    with atomic_path(path) as tmp:
        save_file(weights, tmp, metadata=dict(format='pt'))


def lora_weights(denoiser: nn.Module, role: str) -> Dict[str, Tensor]:
    """A and B of every layer, fp32 on the CPU; see :func:`write_lora`."""
    weights = {}
    for name, layer in denoiser.named_modules():
        if NAME in getattr(layer, 'lora_A', ()):
            scaled = layer.scaling[NAME] * layer.lora_B[NAME].weight
            for part, value in (('A', layer.lora_A[NAME].weight), ('B', scaled)):
                weights[f'{role}.{name}.lora_{part}.weight'] = \
                    value.detach().float().cpu().contiguous()
    return weights
