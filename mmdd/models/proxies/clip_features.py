"""Features of CLIP's image encoder."""
from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.utils.config import resolve_path
from mmdd.utils.finite import check_weights

# RGB in [0, 1], as OpenAI normalises for its weights.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@MODELS.register_module()
class CLIPFeatures(BaseModule):
    """Image embeddings of CLIP (https://arxiv.org/abs/2103.00020), through ``transformers``.

    Args:
        pretrained: Local folder in transformers' layout or hub id, such as
            'openai/clip-vit-base-patch32'.
        vision: Settings of ``CLIPVisionConfig`` for small random weights instead.
        seed: Seed of the random weights.

    Raises:
        ValueError: If the weights are missing, or neither or both are given.
    """

    limits = dict(seed=dict(low=0))

    def __init__(self, pretrained: Optional[str] = None, vision: Optional[dict] = None,
                 seed: int = 0) -> None:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
        super().__init__()
        if (pretrained is None) == (vision is None):
            raise ValueError('CLIPFeatures: give either pretrained or vision')
        if pretrained is None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                self.model = CLIPVisionModelWithProjection(CLIPVisionConfig(**(vision or {})))
        else:
            self.model = load(pretrained)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True):
        """Stay in evaluation mode: the encoder is frozen."""
        return super().train(False)

    def init_weights(self) -> None:
        """Keep the weights that were loaded."""

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Projected image embeddings, (B, D).

        Args:
            images: (B, 3, H, W) RGB in [0, 1]; resized to the encoder's own size.
        """
        side: Any = self.model.config.image_size
        x = F.interpolate(images.float(), (side, side), mode='bicubic', antialias=True)
        x = (x.clamp(0, 1) - x.new_tensor(MEAN).view(3, 1, 1)) / x.new_tensor(STD).view(3, 1, 1)
        return self.model(x).image_embeds.float()


def load(pretrained: str):
    """The image encoder of a folder or hub id.

    Raises:
        ValueError: If it cannot be loaded, or its weights are not finite.
    """
    from transformers import CLIPVisionModelWithProjection
    try:
        folder = resolve_path(pretrained)
    except FileNotFoundError:
        folder = pretrained
    try:
        model = CLIPVisionModelWithProjection.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32)
    except Exception as e:
        reason = (str(e).strip().splitlines() or [''])[0][:200]
        raise ValueError(
            f'cannot load CLIP weights of {pretrained!r} ({type(e).__name__}: {reason}); give '
            f'CLIPFeatures.pretrained a local folder or a hub id that can be reached') from None
    check_weights(model, f'CLIP of {pretrained!r}')
    return model
