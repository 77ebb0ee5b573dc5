"""LoRA weights on the denoiser of a prior."""
import importlib.util
import os.path as osp
from typing import Any, List, Mapping, Optional, Protocol

from mmdd.utils.config import resolve_path
from mmdd.utils.numbers import check_number
from .loading import first_line

KEY = 'model.diffusion.lora'
NAME = 'lora'


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
    if not has_peft():
        raise ValueError(f'{KEY} needs peft, which is not installed; run pip install peft')
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
        denoiser.load_lora_adapter(path, prefix=prefix, adapter_name=NAME, use_safetensors=True)
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
