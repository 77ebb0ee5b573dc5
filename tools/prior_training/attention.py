"""Attention that a CPU trains fast."""
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import nn
from transformers import PreTrainedModel


def write_out_attention(model: nn.Module, device: str) -> None:
    """Let a model on a CPU multiply its attention out, in place; on a GPU leave it alone.

    In bfloat16 the backward pass of torch's fused attention on CPUs takes several times that of
    the same products one by one.

    Args:
        model: May hold networks of diffusers and transformers at any depth.
        device: Where it is trained, as in ``args.device``.
    """
    if torch.device(device).type != 'cpu':
        return
    for module in model.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())
        elif isinstance(module, PreTrainedModel):
            module.set_attn_implementation('eager')
