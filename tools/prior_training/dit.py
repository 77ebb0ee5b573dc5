"""A small DiT: built, trained on cached latents, written, and what it draws."""
import argparse
import copy
import os.path as osp
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from diffusers import DiTPipeline, DiTTransformer2DModel

from mmdd.models import DiT
from mmdd.models.diffusions.difffit import tie_embedders
from mmdd.models.distillers.pictures import to_uint8
from mmdd.structures import DistillSlot, slot_seed
from mmdd.utils.picture import Tile, save_contact_sheet
from .data import Pool
from .loop import fit
from .noise import NoiseLevels, make_scheduler, velocity_loss

# As large as what the time grows to: with DiT's 0.02 a short training hears the class late.
CLASS_STD = 0.5
# Latents along a side that a token stands for.
PATCH = 2


class Task(NamedTuple):
    """What a DiT is trained to draw.

    Attributes:
        vae: Autoencoder of diffusers.
        pool: Its latents of the training images, with the fact 'label' of each.
        classes: Class names by label.
        size: Side of the images in pixels.
        folder: Folder of the autoencoder where it is not written with the prior; None.
    """
    vae: Any
    pool: Pool
    classes: Sequence[str]
    size: int
    folder: Optional[str] = None


def pixels_per_latent(vae: Any) -> int:
    """Pixels along a side that a latent of an autoencoder stands for."""
    return 2**(len(vae.config.block_out_channels) - 1)


def check_size(size: int, vae: Any) -> None:
    """Check that images can be cut into latents, and these into tokens.

    Raises:
        ValueError: If not.
    """
    factor = pixels_per_latent(vae)
    if size % (factor * PATCH):
        raise ValueError(f'--size {size} is no multiple of {factor * PATCH}: the autoencoder '
                         f'makes a latent of {factor} x {factor} pixels, the transformer a token '
                         f'of {PATCH} x {PATCH} latents')


def build_transformer(args: argparse.Namespace, num_classes: int, side: int,
                      channels: int) -> DiTTransformer2DModel:
    """A DiT with the initialisation of its paper: every block begins as the identity.

    Args:
        args: Options of :func:`add_dit_arguments`.
        num_classes: Without the null class.
        side: Latents along a side.
        channels: Latent channels.
    """
    model = DiTTransformer2DModel(
        num_attention_heads=args.heads, attention_head_dim=args.width // args.heads,
        num_layers=args.depth, sample_size=side, patch_size=PATCH, in_channels=channels,
        num_embeds_ada_norm=num_classes)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.xavier_uniform_(module.weight)
            torch.nn.init.zeros_(module.bias)
    for block in model.transformer_blocks:
        torch.nn.init.zeros_(block.norm1.linear.weight)
        embedder = block.norm1.emb
        for layer in (embedder.timestep_embedder.linear_1, embedder.timestep_embedder.linear_2):
            torch.nn.init.normal_(layer.weight, std=0.02)
        torch.nn.init.normal_(embedder.class_embedder.embedding_table.weight, std=CLASS_STD)
        # the script drops classes itself, from its own generator
        embedder.class_embedder.dropout_prob = 0
        embedder.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    for layer in (model.proj_out_1, model.proj_out_2):
        torch.nn.init.zeros_(layer.weight)
    tie_embedders(model)
    return model


def train_dit(args: argparse.Namespace, task: Task) -> Tuple[DiTTransformer2DModel, bool]:
    """Prediction of v for z_t, timestep and class, the class dropped at times.

    Returns:
        tuple: the averaged transformer, and whether all steps are done.
    """
    latents, labels = task.pool.latents, torch.tensor(task.pool.facts['label'])
    alpha_bars = make_scheduler().alphas_cumprod
    levels = NoiseLevels(alpha_bars)
    torch.manual_seed(args.seed)
    model = build_transformer(args, len(task.classes), latents.shape[-1], latents.shape[1])

    def loss(step, g):
        pick = torch.randint(0, len(latents), (args.batch_size, ), generator=g)
        drop = torch.rand(args.batch_size, generator=g) < args.drop
        z = latents[pick].float() * task.vae.config.scaling_factor
        noise, t = torch.randn(z.shape, generator=g), levels.draw(args.batch_size, g)
        classes = torch.where(drop, len(task.classes), labels[pick]).to(args.device)
        batch = [x.to(args.device) for x in (z, noise, alpha_bars[t])]
        t = t.to(args.device)
        return velocity_loss(lambda z_t: model(z_t, t, classes).sample, *batch).mean()

    def on_save(ema, step):
        folder = export_dit(ema, task, osp.join(args.work_dir, 'prior'))
        save_samples(folder, task, osp.join(args.work_dir, f'samples_{step:06d}.png'),
                     args.device)

    return fit('dit', model, loss, args, on_save)


def export_dit(model: DiTTransformer2DModel, task: Task, folder: str) -> str:
    """Write transformer, scheduler and an autoencoder of its own in diffusers' layout, fp16.

    Returns:
        str: ``folder``.
    """
    model = copy.deepcopy(model).half()
    for block in model.transformer_blocks:  # untied: safetensors keeps no shared tensors
        block.norm1.emb = copy.deepcopy(block.norm1.emb)
    if task.folder is not None:
        model.save_pretrained(osp.join(folder, 'transformer'))
        make_scheduler().save_pretrained(osp.join(folder, 'scheduler'))
        return folder
    vae = copy.deepcopy(task.vae).half()
    vae.register_to_config(_name_or_path='')
    pipeline = DiTPipeline(model, vae, make_scheduler())
    pipeline.register_to_config(id2label=dict(enumerate(task.classes)))
    pipeline.save_pretrained(folder)
    return folder


def save_samples(folder: str, task: Task, path: str, device: str, rows: int = 3, steps: int = 25,
                 cfg_scale: float = 4.) -> None:
    """A sheet with a class a column; of more than ten classes, ten spread over them."""
    prior = DiT(folder, vae=task.folder, steps=steps, cfg_scale=cfg_scale, dtype='fp32').to(device)
    columns = min(10, len(task.classes))
    shown = np.linspace(0, len(task.classes) - 1, columns).round().astype(int)
    labels = [int(label) for label in shown] * rows
    slots = [DistillSlot(i, slot_seed(0, i), (task.size, task.size), np.array([label]))
             for i, label in enumerate(labels)]
    tiles = [Tile(image, caption=task.classes[label])
             for image, label in zip(to_uint8(prior.sample(slots)[0]), labels)]
    save_contact_sheet(path, tiles, task.classes, columns=columns, side=max(64, task.size))
