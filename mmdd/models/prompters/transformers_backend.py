"""Vision-language models that run here, through transformers."""
import gc
import os.path as osp
from typing import Any, Dict, Optional

from mmdd.models.diffusions.weights import locate_on_hub
from mmdd.registry import TASK_UTILS
from mmdd.utils.compat import fix_torchvision
from mmdd.utils.config import resolve_path
from .vlm_backend import Answer, VLMBackend, VLMError, read_image


@TASK_UTILS.register_module()
class TransformersBackend(VLMBackend):
    """Asks an image-text-to-text model of transformers, one image at a time.

    The model is loaded for the first missing answer and freed after the last one.
    Decoding is greedy: the same question gets the same answer.

    Args:
        model: Local folder, ``mmdd::`` path or hub id of a model with a processor
            and a chat template, such as SmolVLM, Qwen2-VL or LLaVA. Weights are
            safetensors.
        dtype: 'auto' as stored, or 'float32', 'float16', 'bfloat16'.
        device: Device of torch; None for the GPU where there is one.
        max_new_tokens: Longest answer in tokens.
        image_size: Longest side in pixels that the processor gets.

    Raises:
        ValueError: If a setting is out of range.
    """

    runtime_settings = ('device', )
    limits = dict(dtype=('auto', 'float32', 'float16', 'bfloat16'),
                  max_new_tokens=dict(low=1), image_size=dict(low=16))

    def __init__(self,
                 model: str,
                 dtype: str = 'auto',
                 device: Optional[str] = None,
                 max_new_tokens: int = 200,
                 image_size: int = 512) -> None:
        if dtype not in ('auto', 'float32', 'float16', 'bfloat16'):
            raise ValueError(f"dtype must be 'auto', 'float32', 'float16' or 'bfloat16', got "
                             f'{dtype!r}')
        if max_new_tokens < 1 or image_size < 16:
            raise ValueError(f'max_new_tokens >= 1 and image_size >= 16 are needed, got '
                             f'{max_new_tokens} and {image_size}')
        self.name = model
        self.dtype = dtype
        self.device = device
        self.max_new_tokens = max_new_tokens
        self.image_size = image_size
        self.where = model
        self._model: Any = None
        self._processor: Any = None

    def settings(self) -> Dict[str, Any]:
        """Model, number type and decoding settings; the device does not count."""
        return dict(model=self.name, dtype=self.dtype, max_new_tokens=self.max_new_tokens,
                    image_size=self.image_size)

    def check(self) -> None:
        """Check that the weights are there and are of such a model; loads none of them.

        Raises:
            ValueError: If not.
        """
        fix_torchvision()
        from transformers import AutoConfig
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
        )
        path = locate_model(self.name)
        try:
            kind = AutoConfig.from_pretrained(path, trust_remote_code=False).model_type
        except (OSError, ValueError, KeyError) as error:
            raise self._unusable(error) from None
        if kind not in KNOWN:
            raise ValueError(f'{self.name} is a model of type {kind!r} that does not describe '
                             f'images: give backend.model an image-text-to-text model')

    def load(self) -> None:
        """Load processor and weights.

        Raises:
            VLMError: If they are missing or damaged.
        """
        if self._model is not None:
            return
        self.check()
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForImageTextToText, AutoProcessor
        path = locate_model(self.name)
        device = self.device or ('cuda' if torch.cuda.is_available() else 'cpu')
        try:
            processor = AutoProcessor.from_pretrained(path, trust_remote_code=False)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                path, dtype=self.dtype, use_safetensors=True, trust_remote_code=False)
            self._model = model.to(device).eval()
        except torch.OutOfMemoryError:
            raise self._too_large(device) from None
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise self._unusable(error) from None
        if getattr(processor, 'chat_template', None) is None:
            self.release()
            raise VLMError(f'{self.name} has no chat template: give backend.model a model that '
                           f'was tuned to follow instructions', fatal=True)
        self._processor = processor

    def ask(self, path: str, question: str) -> Answer:
        """Generate an answer greedily.

        Raises:
            VLMError: If the image cannot be read or the model does not fit.
        """
        import torch
        image = read_image(path, self.image_size)
        content = [dict(type='image', image=image), dict(type='text', text=question)]
        inputs = self._processor.apply_chat_template(
            [dict(role='user', content=content)], add_generation_prompt=True, tokenize=True,
            return_dict=True, return_tensors='pt')
        inputs = inputs.to(self._model.device, self._model.dtype)
        try:
            with torch.inference_mode():
                tokens = self._model.generate(
                    **inputs, max_new_tokens=self.max_new_tokens, do_sample=False)
        except torch.OutOfMemoryError:
            raise self._too_large(self._model.device) from None
        start = inputs['input_ids'].shape[1]
        text = self._processor.decode(tokens[0, start:], skip_special_tokens=True)
        return Answer(text, start, tokens.shape[1] - start)

    def release(self) -> None:
        """Free the model."""
        if self._model is None:
            return
        import torch
        self._model = self._processor = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _unusable(self, error: Exception) -> VLMError:
        reason = (' '.join(str(error).split()) or type(error).__name__)[:200]
        return VLMError(f'{self.name} cannot be loaded as an image-text-to-text model ({reason}): '
                        f'give backend.model another one', fatal=True)

    def _too_large(self, device: Any) -> VLMError:
        return VLMError(f'{self.name} does not fit into the memory of {device}: take a smaller '
                        f"model, dtype='bfloat16' or device='cpu'", fatal=True)


def locate_model(name: str) -> str:
    """Find the weights of a vision-language model.

    Args:
        name: Local folder, ``mmdd::`` path or hub id.

    Returns:
        str: An existing folder; a hub id where the hub can be reached.

    Raises:
        ValueError: If there is no such folder, nothing in the local cache and no
            hub, or the folder is incomplete.
    """
    try:
        path = resolve_path(name)
    except FileNotFoundError:
        path = ''
    if osp.isdir(path):
        for file in ('config.json', ('model.safetensors', 'model.safetensors.index.json')):
            names = (file, ) if isinstance(file, str) else file
            if not any(osp.isfile(osp.join(path, n)) for n in names):
                raise ValueError(f'{path} has no {names[0]}: give backend.model a complete folder '
                                 f'as save_pretrained writes it')
        return path
    if name.count('/') == 1 and not name.startswith(('.', '/', '~', 'mmdd::')):
        try:
            return locate_on_hub(name)
        except ValueError:
            pass
    raise ValueError(f'no vision-language model at {name!r}: neither a folder nor in the local '
                     f'cache, and the hub cannot be reached or does not have it; give '
                     f'backend.model a local folder')
