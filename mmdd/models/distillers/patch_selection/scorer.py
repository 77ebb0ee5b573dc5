"""From photographs to what patch selection knows of them."""
from dataclasses import asdict, dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed, generator
from ...diffusions.features import FeatureAccessor, find_module
from .differential_loss import best_window, differential_loss, draw_timesteps


@dataclass(frozen=True)
class ScoreSettings:
    """What decides a score, beside the photograph, its class and the weights.

    Attributes:
        resize: Pixels of the short side, to which photographs are resized, smaller
            ones too, the ratio being kept (section 4.2: 256).
        window: Side of the patch in pixels of the resized photograph (224); None
            scores whole photographs, the paper's low-resolution mode.
        timestep_range: Part of the schedule that the timesteps of the differential
            loss are drawn from, both ends included (section 4.1: 0.1 to 0.7).
        num_draws: Draws (t, ε) for each photograph. The paper averages over
            "multiple" ones.
        prompt: Prompt of a class, its name in the place of ``{}``.
        null_prompt: Prompt ∅ without a class (section 3.2).
        dift_block: Up block of the denoiser whose activations are the DIFT
            features. The paper does not say which; 1 is the one of the DIFT paper.
        dift_timestep: Timestep of the features as a fraction of the schedule. The
            paper prints "1.60"; 0.16 is a reading of it.
        seed: Timesteps and noise follow from it and from the photograph's content.

    Raises:
        ValueError: If a setting is out of range.
    """
    resize: int = 256
    window: Optional[int] = 224
    timestep_range: Tuple[float, ...] = (0.1, 0.7)
    num_draws: int = 10
    prompt: str = 'An image of {}'
    null_prompt: str = 'An image of .'
    dift_block: int = 1
    dift_timestep: float = 0.16
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.timestep_range
        if not 0 <= low <= high <= 1 or not 0 <= self.dift_timestep <= 1:
            raise ValueError(
                f'PatchSelection: timestep_range must ascend in [0, 1] and dift_timestep be in '
                f'[0, 1], got {tuple(self.timestep_range)} and {self.dift_timestep}')
        if self.num_draws < 1 or self.resize < 1:
            raise ValueError(f'PatchSelection: num_draws and resize must be at least 1, got '
                             f'{self.num_draws} and {self.resize}')
        if self.window is not None and not 1 <= self.window <= self.resize:
            raise ValueError(
                f'PatchSelection: a window of {self.window} pixels does not fit into images '
                f'whose short side is {self.resize}; lower model.window, raise model.resize, or '
                f'score whole images with window=None')
        if '{}' not in self.prompt:
            raise ValueError(f'PatchSelection: prompt must have the place {{}} for the class, '
                             f'got {self.prompt!r}')

    def class_prompt(self, name: str) -> str:
        """Prompt of a class: the first of its names, with spaces.

        A class has one prompt, whether its dataset gives the full synset or not.
        """
        return self.prompt.replace('{}', name.split(',')[0].replace('_', ' ').strip())

    def to_dict(self) -> Dict:
        """The settings as plain numbers and text."""
        return dict(asdict(self), timestep_range=list(self.timestep_range))


class PatchScorer:
    """Scores photographs with a frozen text-to-image diffusion (sections 3.2 and 3.3).

    A photograph passes the autoencoder once. The differential loss on its
    latents gives the best window and R; the features come from the latents of
    that window. No figure depends on what else is scored with it.

    Args:
        diffusion: Diffusion adapter that takes prompts.
        settings: What decides the scores.
        batch_size: Draws in one call of the denoiser, each with two prompts.

    Attributes:
        fields: Arrays of a photograph's row in the store.
        figures, fix: What they are, and what to do where one is not finite.

    Raises:
        ValueError: If the diffusion takes no prompts, has no such block, or the
            window is no multiple of its latents' places.
    """

    fields = ('score', 'window', 'dift')
    figures = "denoiser's loss or features"
    fix = "set model.diffusion.dtype to 'bf16' or 'fp32'"

    def __init__(self, diffusion, settings: ScoreSettings, batch_size: int) -> None:
        self.diffusion = diffusion
        self.settings = settings
        self.batch_size = batch_size
        self.block = f'up_blocks.{settings.dift_block}'
        check_prompts(type(diffusion))
        find_module(diffusion.denoiser, self.block)
        factor = diffusion.factor
        if settings.resize % factor or (settings.window or 0) % factor:
            raise ValueError(
                f'PatchSelection: resize {settings.resize} and window {settings.window} must be '
                f'multiples of the {factor} pixels of a place in the latents')
        self._conditions: Dict[str, Tensor] = {}

    @torch.no_grad()
    def score(self, images: Sequence[np.ndarray], prompts: Sequence[str],
              keys: Sequence[str],
              progress: Optional[Progress] = None) -> Dict[str, np.ndarray]:
        """Score photographs.

        Args:
            images: N resized photographs, (H, W, 3) uint8 RGB; sizes may differ.
            prompts: Prompt of the class of each.
            keys: What the randomness of each follows from, its content.
            progress: Counts photographs.

        Returns:
            dict: ``score`` R, (N,) float32; ``window`` (N, 4) int32, xyxy in pixels
            of the resized photograph; ``dift`` (N, D) float32.
        """
        rows: List[Optional[tuple]] = [None] * len(images)
        for members in same_shape([image.shape for image in images]):
            for start in range(0, len(members), self.batch_size):
                batch = members[start:start + self.batch_size]
                found = self._batch([images[i] for i in batch], [prompts[i] for i in batch],
                                    [keys[i] for i in batch])
                for i, row in zip(batch, zip(*found)):
                    rows[i] = row
                if progress is not None:
                    progress.add(len(batch))
        scores, windows, features = zip(*rows)
        return dict(score=np.array(scores, np.float32), window=np.stack(windows),
                    dift=np.stack(features))

    def _batch(self, images: Sequence[np.ndarray], prompts: Sequence[str],
               keys: Sequence[str]) -> tuple:
        settings, factor = self.settings, self.diffusion.factor
        latents = self._encode(images)
        told = self._condition(prompts)
        steps, noise = zip(*(self._draws(key, latents.shape[1:]) for key in keys))
        maps = differential_loss(
            self.diffusion, latents, self._condition([settings.null_prompt] * len(images)), told,
            torch.stack(steps), torch.stack(noise), self.batch_size)
        side = None if settings.window is None else settings.window // factor
        scores, corners = best_window(maps, None if side is None else (side, side))
        height, width = (side, side) if side else latents.shape[2:]
        patches = torch.stack([z[:, y:y + height, x:x + width]
                               for z, (y, x) in zip(latents, corners.tolist())])
        windows = torch.cat([corners.flip(1), corners.flip(1) + torch.tensor([width, height])], 1)
        features = self._features(patches, told, keys)
        return scores.numpy(), (windows * factor).numpy().astype(np.int32), features

    def _encode(self, images: Sequence[np.ndarray]) -> Tensor:
        """Latents of photographs of one size; pixels beyond the last whole place are cut."""
        factor = self.diffusion.factor
        height, width = (n // factor * factor for n in images[0].shape[:2])
        pixels = np.stack([image[:height, :width] for image in images])
        tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.diffusion.device)
        return self.diffusion.encode_images(tensor.float() / 255)

    def _condition(self, prompts: Sequence[str]) -> Tensor:
        """Text embeddings (B, L, D); a text passes the encoder once."""
        new = [text for text in dict.fromkeys(prompts) if text not in self._conditions]
        if new:
            self._conditions.update(zip(new, self.diffusion.encode_prompts(new)))
        return torch.stack([self._conditions[text] for text in prompts])

    def _draws(self, key: str, shape: Sequence[int]) -> Tuple[Tensor, Tensor]:
        """Timesteps (M,) and noise (M, C, h, w) of one photograph."""
        settings = self.settings
        source = generator('differential loss', settings.seed, key)
        steps = draw_timesteps(settings.timestep_range, self.diffusion.num_timesteps,
                               settings.num_draws, source)
        return steps, torch.randn((settings.num_draws, *shape), generator=source)

    def _features(self, patches: Tensor, condition: Tensor, keys: Sequence[str]) -> np.ndarray:
        """DIFT: activations of noised patches, averaged over places, (B, D)."""
        num = self.diffusion.num_timesteps
        step = min(int(round(self.settings.dift_timestep * num)), num - 1)
        t = torch.full((len(patches), ), step, device=patches.device)
        noise = torch.stack([torch.randn(
            patches.shape[1:], generator=generator('DIFT', self.settings.seed, key))
            for key in keys]).to(patches)
        z = self.diffusion.add_noise(patches, noise, t)
        with FeatureAccessor(self.diffusion.denoiser, [self.block], stop=True) as found:
            self.diffusion.predict_noise(z, t, condition)
        self.diffusion.count_passes(len(patches))
        return found[self.block].float().mean((2, 3)).cpu().numpy()

    def identity(self) -> str:
        """16 hexadecimal digits that change with the settings or the weights."""
        parts = [f'{name}={value}' for name, value in sorted(self.settings.to_dict().items())]
        return f'{derive_seed("scores", *parts, self.diffusion.weights_digest()):016x}'


def same_shape(shapes: Sequence[tuple]) -> List[List[int]]:
    """Indices of equal shapes together, in the order in which shapes first appear."""
    groups: Dict[tuple, List[int]] = {}
    for i, shape in enumerate(shapes):
        groups.setdefault(tuple(shape), []).append(i)
    return list(groups.values())


def check_prompts(kind: type) -> None:
    """Check that diffusions of a class can be told a text and nothing else.

    Raises:
        ValueError: If not.
    """
    if not callable(getattr(kind, 'encode_prompts', None)):
        raise ValueError(
            f'PatchSelection needs a text-to-image model.diffusion such as StableDiffusion, whose '
            f'condition is a prompt alone; that of {kind.__name__} is not')
