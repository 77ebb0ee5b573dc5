"""Whether the text encoders of a prior give what its denoiser takes."""
import json
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

# Which channels, how many the text encoders give, how many the denoiser takes.
Width = Tuple[str, int, Any]


class TextWidthsMixin:
    """Compares the text encoders of an adapter with its denoiser, before and after loading."""

    @classmethod
    def text_widths(cls, parts: Mapping[str, Any]) -> List[Width]:
        """What is to agree, by the configs alone.

        Args:
            parts: Configs of the denoiser, a mapping, and of the text encoders, by the names that
                they have in the folder.

        Raises:
            ValueError: If the denoiser takes no such text at all.
            KeyError: If a config does not say how wide it is.
        """
        raise NotImplementedError

    def check_loaded(self, pretrained: Optional[str], roles: Sequence[str]) -> None:
        """Check the parts of this adapter.

        Args:
            pretrained: What they were loaded from; None where settings describe them.
            roles: Names of denoiser and text encoders; those that are not loaded are left out.

        Raises:
            ValueError: If they do not fit each other.
        """
        found = {role: getattr(self, role, None) for role in roles}
        check_widths(type(self).__name__, self.text_widths(
            {role: part.config for role, part in found.items() if part is not None}), pretrained)

    @classmethod
    def check_parts_of(cls, folder: str, denoiser: str, encoders: Mapping[str, str]) -> None:
        """Check the parts of a folder without loading them; a hub id passes.

        Args:
            folder: Folder in diffusers layout.
            denoiser: Subfolder of the denoiser.
            encoders: Subfolders of the text encoders, and of each 't5' or what else it is.

        Raises:
            ValueError: If they do not fit each other.
        """
        parts = read_parts(folder, denoiser, encoders)
        if parts is None:
            return
        try:
            widths = cls.text_widths(parts)
        except (KeyError, TypeError):  # defaults count, which the loaded network knows
            return
        check_widths(cls.__name__, widths, folder)


def check_widths(adapter: str, widths: Sequence[Width], pretrained: Optional[str]) -> None:
    """Check that a denoiser takes as many channels as its text encoders give.

    Args:
        adapter: Name of the adapter.
        widths: What is compared.
        pretrained: Where both come from; None where settings describe them.

    Raises:
        ValueError: If one of them differs.
    """
    where = '' if pretrained is None else f' of {pretrained!r}'
    for kind, given, taken in widths:
        if given != taken:
            raise ValueError(
                f'{adapter}: the text encoders{where} give {given} {kind} channels, its denoiser '
                f'takes {taken}; give model.diffusion.pretrained the folder of one whole model '
                f'for {adapter}')


def unet_text_width(unet: Mapping[str, Any]) -> Any:
    """Channels of the text that a U-Net takes; a list where its blocks differ.

    Args:
        unet: Its config.
    """
    width = unet.get('encoder_hid_dim') or unet['cross_attention_dim']
    widths = {width} if isinstance(width, int) else set(width)
    return widths.pop() if len(widths) == 1 else sorted(widths)


def read_parts(folder: str, denoiser: str,
               encoders: Mapping[str, str]) -> Optional[Dict[str, Any]]:
    """Configs of the parts of a local folder, as :meth:`TextWidthsMixin.text_widths` takes them.

    Returns:
        dict: None where there is none or one cannot be read, which loading names.
    """
    from transformers import CLIPTextConfig, T5Config
    try:
        parts: Dict[str, Any] = {denoiser: _read(folder, denoiser)}
        for role, kind in encoders.items():
            content = _read(folder, role)
            parts[role] = (T5Config.from_dict(content) if kind == 't5' else
                           CLIPTextConfig.from_dict(content.get('text_config', content)))
    except Exception:  # of the file, and whatever transformers makes of its content
        return None
    return parts


def _read(folder: str, role: str) -> Dict[str, Any]:
    with open(osp.join(folder, role, 'config.json'), encoding='utf-8') as f:
        return dict(json.load(f))
