"""What the guidance of a config costs beside its own unguided sampling, and what it gives."""
import statistics
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from mmdd.models import DetectorProxy, TaskProxy
from mmdd.models.proxies.scoring import images_to_tensor
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.timing import synchronize
from .average_precision import average_precision, look_at

Draw = Callable[[Sequence[DistillSlot]], Tensor]


def clock() -> float:
    """Seconds of a measurement: of this process on CPUs, which other processes do not
    lengthen; of the wall where a GPU works."""
    synchronize()
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


@dataclass
class PairedCost:
    """Seconds of two ways to make the same batch, measured by turns.

    Attributes:
        free: Seconds of each unguided run.
        guided: Seconds of the guided run after it.
    """
    free: List[float]
    guided: List[float]

    @property
    def ratio(self) -> float:
        """Median over the turns of guided / unguided."""
        return statistics.median(b / a for a, b in zip(self.free, self.guided))


def measure_pairs(free: Callable[[], Any], guided: Callable[[], Any],
                  repeats: int = 3) -> PairedCost:
    """Measure two runs by turns, so that a machine's load meets both.

    Args:
        free: Makes a batch unguided.
        guided: Makes it guided.
        repeats: Number of turns; one more comes before them and does not count.
    """
    cost = PairedCost([], [])
    for turn in range(repeats + 1):
        for run, seconds in ((free, cost.free), (guided, cost.guided)):
            begin = clock()
            run()
            if turn:
                seconds.append(clock() - begin)
    return cost


def measure_parts(diffusion, proxy: TaskProxy, slots: Sequence[DistillSlot],
                  images: Tensor, repeats: int = 3) -> Dict[str, float]:
    """Where the seconds of one guided step go, medians.

    Args:
        diffusion: A diffusion adapter.
        proxy: The proxy whose energy guides.
        slots: One batch.
        images: Images of it (B, 3, H, W) in [0, 1], as the energy would see them.
        repeats: Measurements of each part.
    """
    with torch.no_grad():
        # In the memory layout of sampling: kernels of others take other times.
        latents = diffusion.encode_images(images).contiguous()
        condition = diffusion.encode_conditions(slots)
    timestep = torch.tensor(diffusion.num_timesteps // 2, device=latents.device)

    def seconds(function: Callable[[Tensor], Tensor], x: Tensor) -> Tuple[float, float]:
        forward, backward = [], []
        for turn in range(repeats + 1):
            x = x.detach().requires_grad_()
            begin = clock()
            with torch.enable_grad():
                output = function(x).sum()
            middle = clock()
            torch.autograd.grad(output, x)
            if turn:
                forward.append(middle - begin)
                backward.append(clock() - middle)
        return statistics.median(forward), statistics.median(backward)

    parts = dict(
        denoiser=seconds(lambda z: diffusion.predict_noise(z, timestep, condition), latents),
        decoder=seconds(lambda z: diffusion.decode_latents(z, fast=True), latents),
        energy=seconds(lambda x: proxy.energy(x, slots), images))
    return {f'{name}, {way}': value for name, both in parts.items()
            for way, value in zip(('forward', 'backward'), both)}


def raw_quality(draw: Draw, slots: Sequence[DistillSlot], scorer: TaskProxy, batch_size: int,
                num_classes: int) -> float:
    """How well unrefined images show what their slots ask for, in [0, 1].

    Args:
        draw: Makes the images (B, 3, H, W) of a batch.
        slots: Slots of one size.
        scorer: A detector, for AP50 against the boxes of the slots; of another proxy the
            mean score counts.
        batch_size: Slots a batch.
        num_classes: Number of classes.
    """
    samples: List[DistilledSample] = []
    for i in range(0, len(slots), batch_size):
        batch = slots[i:i + batch_size]
        pictures = (draw(batch) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        samples += [DistilledSample(slot, picture) for slot, picture in zip(batch, pictures)]
    if isinstance(scorer, DetectorProxy):
        return average_precision(look_at('raw', samples, scorer, batch_size), num_classes)['AP50']
    device, scores = next(scorer.parameters()).device, []
    for i in range(0, len(samples), batch_size):
        batch = samples[i:i + batch_size]
        scores += scorer.score(images_to_tensor(batch).to(device), batch).tolist()
    return statistics.fmean(scores)
