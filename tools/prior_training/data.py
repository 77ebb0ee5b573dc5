"""Scenes that embedded priors are trained on, and the cache of latents of any images."""
import json
import os.path as osp
from itertools import islice
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmdd.datasets.digit_scenes import Scene, render_scene
from mmdd.models.diffusions.latents import encode_latents
from mmdd.utils.io import atomic_path, atomic_write_text

SIZE = 64
# How often a scene is to hold 1, 2, ... digits.
COUNTS = (0.12, 0.20, 0.25, 0.28, 0.15)


class Pool(NamedTuple):
    """Latents (N, C, h, w) in fp16, not scaled, and what is known of each, N entries a key."""
    latents: Tensor
    facts: Dict[str, list]


def layout_stream(seed: int, single_share: float, counts: Sequence[float] = COUNTS,
                  start: int = 0) -> Iterator[Scene]:
    """An endless stream of training scenes; scene i depends on ``seed`` and i alone.

    Args:
        seed: Seed of the stream.
        single_share: Share of the scenes with one large digit.
        counts: Weights of 1, 2, ... digits of natural sizes in the others.
        start: Index of the first scene.
    """
    share = np.array(counts) / sum(counts)
    index = start
    while True:
        rng = np.random.default_rng([seed, 3, index])
        if rng.random() < single_share:
            yield render_scene(rng, SIZE, 'train', 1, (0.55, 0.95))
        else:
            yield render_scene(rng, SIZE, 'train', int(rng.choice(len(share), p=share)) + 1)
        index += 1


def to_tensor(scenes: Sequence[Any]) -> Tensor:
    """Scenes, or photographs, to (B, 3, H, W) in [-1, 1]."""
    images = torch.stack([torch.from_numpy(s.image) for s in scenes])
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def encode_pool(vae, size: int, stream: Callable[[int], Iterator[Any]],
                describe: Callable[[Any], Dict], work_dir: str, part: int = 4000) -> Pool:
    """Latents of ``size`` images, made in parts that are kept, so that it resumes.

    Args:
        vae: Autoencoder of diffusers.
        size: Number of images.
        stream: Maps the index of the first to the scenes or photographs from there on; each
            has an ``image`` (H, W, 3) uint8 RGB.
        describe: What to remember of one, in plain numbers and text.
        work_dir: Where the parts are kept.
        part: Number of images in a part.
    """
    latents, facts = [], {}
    for start in range(0, size, part):
        count = min(part, size - start)
        path = osp.join(work_dir, 'pool', f'{start:07d}-{count}')
        if not osp.isfile(f'{path}.json'):
            _encode_part(vae, list(islice(stream(start), count)), describe, path)
            print(f'latents {start + count}/{size}', flush=True)
        latents.append(load_file(f'{path}.safetensors')['latents'])
        with open(f'{path}.json') as f:
            for name, values in json.load(f).items():
                facts.setdefault(name, []).extend(values)
    return Pool(torch.cat(latents), facts)


def _encode_part(vae, scenes: List[Any], describe: Callable, path: str) -> None:
    parts = [encode_latents(vae, to_tensor(scenes[i:i + 100]).to(vae.device)).half().cpu()
             for i in range(0, len(scenes), 100)]
    entries = [describe(scene) for scene in scenes]
    with atomic_path(f'{path}.safetensors') as tmp:
        save_file(dict(latents=torch.cat(parts).contiguous()), tmp)
    atomic_write_text(f'{path}.json', json.dumps(
        {name: [entry[name] for entry in entries] for name in entries[0]}))
