"""Loading the parts of a diffusion model, or building them small."""
import glob
import os.path as osp
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple, Union

import torch

from mmdd.utils.config import resolve_path
from mmdd.utils.finite import check_weights
from .tokenizer import word_tokenizer
from .weights import locate_weights

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)


def pick_dtypes(name: str) -> Tuple[torch.dtype, torch.dtype]:
    """Weights' dtype of the denoiser and of the decoder."""
    if name == 'auto':
        if not torch.cuda.is_available():
            name = 'fp32'
        else:
            name = 'bf16' if has_bf16() else 'fp16'
    if name not in DTYPES:
        raise ValueError(f"model.diffusion: dtype must be 'auto' or one of {sorted(DTYPES)}, "
                         f'got {name!r}')
    return DTYPES[name], torch.float32 if name == 'fp16' else DTYPES[name]


def has_bf16() -> bool:
    """Whether the GPU computes in bf16 itself; V100 and T4 only emulate it."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def load_module(kind: str, folder: Optional[str], role: str, settings: Optional[dict],
                dtype: torch.dtype, variant: Optional[str] = None):
    """Load a diffusers model from a folder, or build it small from settings.

    Raises:
        ValueError: If the weights are missing, unreadable or not finite, or no network can be
            built from the settings.
    """
    import diffusers
    cls = getattr(diffusers, kind)
    if folder is None:
        if settings is None:
            raise ValueError(f'model.diffusion: give either pretrained or settings for {role!r}')
        with building(role):
            model = cls(**settings)
        return model if dtype == torch.float32 else model.to(dtype)
    try:
        model = cls.from_pretrained(
            folder, subfolder=role or None, use_safetensors=True, dtype=dtype,
            variant=pick_variant(folder, role, variant))
    except Exception as e:
        raise ValueError(
            f'cannot load {role or kind} weights of {folder!r} ({type(e).__name__}: '
            f'{first_line(e)}); give a complete diffusers folder with safetensors files') from None
    check_weights(model, f'{role or kind} of {folder!r}')
    return model


def pick_variant(folder: str, role: str, variant: Optional[str]) -> Optional[str]:
    """Which files of a subfolder to load: those of ``variant``, None for the plain ones.

    A local folder is looked at: where it has only the one kind, that is taken.
    """
    files = [osp.basename(path) for path in glob.glob(
        osp.join(glob.escape(osp.join(folder, role)), '*.safetensors'))]
    if not files:
        return variant
    # model.safetensors, model.fp16.safetensors, model.fp16-00001-of-00002.safetensors
    found = {(file.split('.')[1:-1] or [''])[0].split('-')[0] for file in files}
    if (variant or '') in found:
        return variant
    return None if '' in found else sorted(found)[0]


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep diffusers from warning of a setting that it wrote into the config itself."""
    from diffusers.utils import logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def load_autoencoder(folder: Optional[str], source: Union[str, dict, None], dtype: torch.dtype,
                     decoder_dtype: torch.dtype, variant: Optional[str] = None):
    """The autoencoder of a folder, another one by its own folder or hub id, or a small one.

    That of a folder may be an ``AutoencoderKL`` or an ``AutoencoderTiny``. It gets
    ``decoder_dtype``, unless its config says that ``dtype`` does not overflow
    (``force_upcast=False``), as an ``AutoencoderTiny`` never does.
    """
    role = 'vae'
    if isinstance(source, str):
        folder, role, source = locate_weights(source, 'model.diffusion.vae'), '', None
    if autoencoder_kind(folder, role) == 'AutoencoderTiny':
        with _without_warnings():
            return load_module('AutoencoderTiny', folder, role, None, dtype, variant)
    vae = load_module('AutoencoderKL', folder, role, source, decoder_dtype, variant)
    return vae if vae.config.force_upcast else vae.to(dtype)


def autoencoder_kind(folder: Optional[str], role: str) -> str:
    """diffusers' class of the autoencoder of a folder: 'AutoencoderTiny' where its config says so.

    Anything else, as a config that cannot be read, is left to 'AutoencoderKL' to load or refuse.
    """
    from diffusers import AutoencoderKL
    if folder is None:
        return 'AutoencoderKL'
    try:
        config = AutoencoderKL.load_config(folder, subfolder=role or None)
    except (OSError, ValueError):
        return 'AutoencoderKL'
    return 'AutoencoderTiny' if config.get('_class_name') == 'AutoencoderTiny' else 'AutoencoderKL'


@contextmanager
def _without_bar(folder: str) -> Iterator[None]:
    """Keep transformers from drawing a bar while it reads a local folder, which takes no time."""
    from transformers.utils import logging
    hide = osp.isdir(folder) and logging.is_progress_bar_enabled()
    if hide:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if hide:
            logging.enable_progress_bar()


def load_small_decoder(source: Union[str, dict], dtype: torch.dtype):
    """An ``AutoencoderTiny`` from a folder or hub id, or a random one from settings.

    Its weights are channels-last: its convolutions of few channels on large maps take 0.6
    of the time then on a CPU.
    """
    if isinstance(source, str):
        with _without_warnings():
            small = load_module('AutoencoderTiny', locate_weights(
                source, 'model.diffusion.energy_decoder'), '', None, dtype)
    else:
        small = load_module('AutoencoderTiny', None, '', source, dtype)
    return small.to(memory_format=torch.channels_last)


def check_small_decoder(small, full) -> None:
    """Check that an ``AutoencoderTiny`` decodes the latents of the full autoencoder.

    Raises:
        ValueError: If its latents have other channels or another number of pixels per cell.
    """
    known, wanted = (
        (config.latent_channels, 2**(len(blocks) - 1)) for config, blocks in (
            (small.config, small.config.decoder_block_out_channels),
            (full.config, full.config.block_out_channels)))
    if known != wanted:
        raise ValueError(
            f'energy_decoder takes latents of {known[0]} channels and {known[1]} pixels per cell, '
            f'the autoencoder has {wanted[0]} and {wanted[1]}; give a decoder of the same latents '
            f'or None')


def load_tokenizer(folder: Optional[str], tokenizer: Union[str, Sequence[str], None],
                   role: str = 'tokenizer', kind: str = 'CLIPTokenizer'):
    """The tokenizer of a folder, by a class of transformers, or one that knows a list of words."""
    import transformers
    if tokenizer is not None and not isinstance(tokenizer, str):
        return word_tokenizer(list(tokenizer))
    source = resolve_path(tokenizer) if tokenizer is not None else folder
    if source is None:
        raise ValueError(f'model.diffusion: give either pretrained or {role}')
    try:
        options: Dict[str, Any] = {} if tokenizer is not None else dict(subfolder=role)
        return getattr(transformers, kind).from_pretrained(source, **options)
    except Exception as e:
        raise ValueError(f'cannot load the {role} of {source!r} ({first_line(e)})') from None


def load_text_encoder(folder: Optional[str], settings: Optional[dict], tokenizer,
                      variant: Optional[str] = None, role: str = 'text_encoder',
                      projection: bool = False):
    """The CLIP text encoder of a folder, or a small one; optionally with its projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
    cls = CLIPTextModelWithProjection if projection else CLIPTextModel
    if folder is None:
        if settings is None:
            raise ValueError(f'model.diffusion: give either pretrained or {role}')
        with building(role):
            return cls(CLIPTextConfig(**{
                **dict(vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id,
                       eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
                       max_position_embeddings=tokenizer.model_max_length), **settings}))
    return _load_text_model(cls, folder, role, torch.float32, variant)


def load_t5_encoder(folder: Optional[str], settings: Optional[dict], tokenizer,
                    dtype: torch.dtype, variant: Optional[str], role: str):
    """The T5 text encoder of a folder in ``dtype``, or a small one."""
    from transformers import T5Config, T5EncoderModel
    if folder is None:
        if settings is None:
            raise ValueError(f'model.diffusion: give either pretrained or {role}')
        with building(role):
            small: torch.nn.Module = T5EncoderModel(T5Config(**{
                **dict(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
                       eos_token_id=tokenizer.eos_token_id), **settings}))
        return small.to(dtype)
    return _load_text_model(T5EncoderModel, folder, role, dtype, variant)


def _load_text_model(cls, folder: str, role: str, dtype: torch.dtype, variant: Optional[str]):
    """A model of transformers from a subfolder, its weights checked."""
    try:
        with _without_bar(folder):
            model = cls.from_pretrained(folder, subfolder=role, use_safetensors=True, dtype=dtype,
                                        variant=pick_variant(folder, role, variant))
    except Exception as e:
        raise ValueError(f'cannot load {role} weights of {folder!r} '
                         f'({type(e).__name__}: {first_line(e)})') from None
    check_weights(model, f'{role} of {folder!r}')
    return model


@contextmanager
def building(role: str) -> Iterator[None]:
    """Say which settings no network can be built from.

    Args:
        role: The part of ``model.diffusion`` that holds them.

    Raises:
        ValueError: If the block fails.
    """
    try:
        yield
    except Exception as e:  # other packages raise whatever comes of wrong settings
        raise ValueError(f'model.diffusion.{role}: no network can be built from these settings '
                         f'({type(e).__name__}: {" ".join(str(e).split())[:200]})') from e


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters."""
    return (str(error).strip().splitlines() or [''])[0][:200]
