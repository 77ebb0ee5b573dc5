"""SRe2L (NeurIPS 2023): images are recovered from what a classifier has learned."""
import time
from collections import Counter
from dataclasses import replace
from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import RandomHorizontalFlip, RandomResizedCrop

from mmdd.models import DatasetDistiller
from mmdd.registry import MODELS
from mmdd.structures import slot_seed
from mmdd.utils.seed import derive_seed, generator


@MODELS.register_module()
class SRe2L(DatasetDistiller):
    """Recovery of `Squeeze, Recover and Relabel <https://arxiv.org/abs/2306.13092>`_, with the
    settings of its released code.

    Noise becomes images by Adam on the cross-entropy of a classifier, and on the distance of
    the statistics at its batch norms from those that it kept of the real set. The classifier,
    trained by a stock config, is the squeezed set; soft labels are the business of the
    protocol.

    **What an image depends on.** Statistics are those of a batch, so images are recovered in
    batches that the plan forms: the first images of all classes, the second ones, ..., cut
    into ``recover_batch`` each. A slot names its batch and its place there. The result is the
    same for any ranks, batches of the loop and interruptions, but not for another plan.

    Args:
        proxy: Config of a ``ClassifierProxy`` with batch norms.
        iterations: Steps of Adam; its rate falls to 0 along a cosine.
        lr: Its rate at the start, in units of normalised pixels.
        alpha_bn: Weight of the distance of statistics.
        first_bn: Further weight of the first batch norm.
        crop_area: (least, largest) share of the image that a crop shows.
        flip_prob: Probability that left and right are swapped.
        jitter: Largest cyclic shift of a crop in pixels.
        recover_batch: Images recovered together.
        image_size: Size of the images.
        kwargs: See :class:`DatasetDistiller`.

    Raises:
        ValueError: If the proxy is no classifier or has no batch norms.
    """

    draws = False
    dry_run_settings = dict(iterations=2)
    limits = dict(iterations=dict(low=1), lr=dict(above=0), alpha_bn=dict(low=0),
                  first_bn=dict(low=0), crop_area=dict(above=0, high=1),
                  flip_prob=dict(low=0, high=1), jitter=dict(low=0), recover_batch=dict(low=1))

    def __init__(self,
                 proxy: dict,
                 iterations: int = 4000,
                 lr: float = 0.25,
                 alpha_bn: float = 0.01,
                 first_bn: float = 10.,
                 crop_area: Sequence[float] = (0.08, 1.),
                 flip_prob: float = 0.5,
                 jitter: int = 32,
                 recover_batch: int = 100,
                 image_size: Union[int, Tuple[int, int]] = 224,
                 **kwargs) -> None:
        super().__init__(proxy=proxy, image_size=image_size, **kwargs)
        if not hasattr(self.proxy, 'logits'):
            raise ValueError(f'SRe2L recovers images from a classifier, model.proxy is a '
                             f'{type(self.proxy).__name__}; give a ClassifierProxy')
        self.gap = StatisticsGap(self.proxy.model, first_bn)
        self.iterations, self.lr, self.alpha_bn = iterations, lr, alpha_bn
        self.crop_area, self.flip_prob, self.jitter = tuple(crop_area), flip_prob, jitter
        self.recover_batch = recover_batch
        self._made: Tuple[Optional[tuple], Optional[Tensor]] = (None, None)

    def plan(self, budget):
        """The slots, the first of every class first, with the batch that each belongs to.

        Raises:
            ValueError: If the real set is not one of one class an image.
        """
        seen, order = Counter(), []
        for slot in super().plan(budget):
            if slot.bboxes is not None or slot.mask is not None or len(slot.labels) != 1:
                raise ValueError('SRe2L distills classification sets, in which every image has '
                                 'one class and no boxes or masks; take UniDD for this one')
            label = int(slot.labels[0])
            order.append((seen[label], label, slot))
            seen[label] += 1
        order.sort(key=lambda entry: entry[:2])
        labels, planned = [label for _, label, _ in order], []
        for index, (_, _, slot) in enumerate(order):
            batch, place = divmod(index, self.recover_batch)
            first = index - place
            # Only its class is asked for: no real image goes into it.
            planned.append(replace(
                slot, id=index, seed=slot_seed(self.seed, index), source='', sources=(),
                source_path='', prototype=dict(
                    batch=batch, place=place, labels=labels[first:first + self.recover_batch])))
        return planned

    def distill_step(self, slots, call_hook):
        """Recover the batches of the slots, each once however its slots are batched."""
        begin, images = time.perf_counter(), []
        for slot in slots:
            own = slot.prototype
            key = (tuple(own['labels']), own['batch'], slot.round)
            if self._made[0] != key:
                self._made = key, self.recover(*key)
            images.append(self._made[1][own['place']])
        samples = self.as_samples(slots, torch.stack(images), [{}] * len(slots))
        seconds = (time.perf_counter() - begin) / len(slots)
        return [replace(sample, seconds=seconds) for sample in samples]

    def recover(self, labels: Sequence[int], batch: int, round: int) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of B classes."""
        device = next(self.proxy.parameters()).device
        mean, std = self.colours(device)
        targets = torch.tensor(labels, device=device)
        x = torch.randn(len(labels), 3, *self.image_size,
                        generator=generator('noise', self.seed, batch, round))
        x = x.to(device).requires_grad_()
        adam = torch.optim.Adam([x], lr=self.lr, betas=(0.5, 0.9))
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self.iterations)
        with self.timed('recover'), torch.random.fork_rng(devices=[]), self.gap:
            torch.default_generator.manual_seed(derive_seed('views', self.seed, batch, round))
            for _ in range(self.iterations):
                adam.zero_grad()
                self.loss(self.view(x * std + mean), targets).backward()
                adam.step()
                rate.step()
                x.data.clamp_(-mean / std, (1 - mean) / std)
        return (x.detach() * std + mean).clamp(0, 1)

    def colours(self, device) -> Tuple[Tensor, Tensor]:
        """Mean and deviation (3, 1, 1) of RGB in [0, 1] by which the classifier normalises."""
        colour = torch.zeros(1, 3, 1, 1, device=device, requires_grad=True)
        slope, = torch.autograd.grad(self.proxy.normalize(colour).sum(), colour)
        return self.proxy.mean_colour.to(device).reshape(3, 1, 1), 1 / slope[0]

    def view(self, images: Tensor) -> Tensor:
        """One crop, flip and shift of a whole batch, drawn from the default generator."""
        images = RandomResizedCrop(self.image_size, scale=self.crop_area)(images)
        images = RandomHorizontalFlip(self.flip_prob)(images)
        shift = torch.randint(self.jitter + 1, (2, )).tolist()
        return images.roll(shift, dims=(2, 3))

    def loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy and weighted distance of the statistics; while ``self.gap`` is entered."""
        cross_entropy = F.cross_entropy(self.proxy.logits(images), targets)
        return cross_entropy + self.alpha_bn * self.gap.total()


class StatisticsGap:
    """Distance of a batch's statistics from those that batch norms keep.

    While entered, a forward pass of ``network`` measures, at each batch norm, the norms of
    the differences of mean and of biased variance.

    Args:
        network: A network with batch norms.
        first: Weight of the first one; all others have 1.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, network: nn.Module, first: float = 10.) -> None:
        self.norms: List[nn.Module] = [
            module for module in network.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats]
        if not self.norms:
            raise ValueError(f'SRe2L matches statistics of batch norms, and the proxy '
                             f'({type(network).__name__}) has none; give one with BatchNorm2d')
        self.first = first

    def __enter__(self) -> 'StatisticsGap':
        self.gaps = {}
        self._handles = [norm.register_forward_pre_hook(self._measure) for norm in self.norms]
        return self

    def __exit__(self, *exception) -> None:
        for handle in self._handles:
            handle.remove()
        self.gaps = {}

    def _measure(self, norm: nn.Module, inputs: Tuple[Tensor]) -> None:
        x = inputs[0].float()
        var, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
        self.gaps[norm] = (norm.running_mean - mean).norm() + (norm.running_var - var).norm()

    def total(self) -> Tensor:
        """The weighted sum for the last forward pass."""
        return sum(self.gaps[norm] * (self.first if norm is self.norms[0] else 1.)
                   for norm in self.norms)
