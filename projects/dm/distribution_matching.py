"""DM (WACV 2023): pixels are moved until their features have the mean of the real ones."""
import time
from collections import Counter
from dataclasses import replace
from typing import List, Optional, Sequence, Tuple, Union

import mmcv
import numpy as np
import torch
from torch import Tensor, nn

from mmdd.models import DSA, DatasetDistiller
from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from mmdd.utils.seed import derive_seed, generator

# The ConvNet-3 of the papers; its embedding is the vector before the linear classifier.
CONVNET = dict(type='mmdd.ConvNet', widths=(128, 128, 128), conv_bias=True, final_pool=True,
               flatten=True)


@MODELS.register_module()
class DM(DatasetDistiller):
    r"""`Dataset Condensation with Distribution Matching <https://arxiv.org/abs/2110.04181>`_.

    The images S of a class start from real ones T and are moved by gradient descent on

    .. math:: \| \mathrm{mean}\, \psi(A(T)) - \mathrm{mean}\, \psi(A(S)) \|^2

    with another random network psi and another Siamese augmentation A in each iteration. The
    images of a class are made together; classes have nothing to do with each other. All that
    is random follows from ``seed``, the class and the round, the networks from ``seed`` and
    the iteration, so that all classes see the same ones.

    Args:
        iterations: Steps of gradient descent.
        lr, momentum: Of the descent, in units of normalised pixels.
        real_batch: Real images of the class in an iteration.
        network: Config of psi, which returns a tuple that ends with (B, D); the papers'
            ConvNet with three blocks by default.
        augment: Settings of :class:`DSA`; its strategy must keep the class.
        mean, std: RGB colours that pixels in [0, 255] are normalised by; one number for all
            channels.
        image_size: Size of the images, to which the real ones are stretched.
        kwargs: See :class:`DatasetDistiller`.
    """

    draws = False
    dry_run_settings = dict(iterations=2)
    limits = dict(iterations=dict(low=0), lr=dict(above=0), momentum=dict(low=0, high=1),
                  real_batch=dict(low=1), std=dict(above=0))

    def __init__(self,
                 iterations: int = 20000,
                 lr: float = 1.,
                 momentum: float = 0.5,
                 real_batch: int = 256,
                 network: Optional[dict] = None,
                 augment: Optional[dict] = None,
                 mean: Sequence[float] = (127.5, ),
                 std: Sequence[float] = (63.75, ),
                 image_size: Union[int, Tuple[int, int]] = 32,
                 **kwargs) -> None:
        super().__init__(image_size=image_size, **kwargs)
        self.iterations, self.lr, self.momentum = iterations, lr, momentum
        self.real_batch, self.network = real_batch, network or CONVNET
        self.augment = DSA(**(augment or {}))
        self.mean, self.std = (torch.tensor(x).reshape(-1, 1, 1) for x in (mean, std))
        self._made: Tuple[Optional[tuple], Optional[Tensor]] = (None, None)

    def plan(self, budget):
        """One slot for each image of a class; ``source`` is the real image it starts from.

        Raises:
            ValueError: If the budget or the real set is not one of images per class, or a class
                has too few real images.
        """
        slots = super().plan(budget)
        for slot in slots:
            if slot.bboxes is not None or slot.mask is not None or len(
                    slot.labels) != 1 or slot.group != slot.labels[0]:
                raise ValueError(f'{budget}: DM matches class by class; give a real set of one '
                                 f"class an image and train_cfg.budget=dict(type='IPC', n=...)")
        totals = Counter(slot.group for slot in slots)
        real = {label: self.real_images(label) for label in totals}
        for label, total in totals.items():
            if total > len(real[label]):
                raise ValueError(f'{budget}: {total} images of class {label} are to start from '
                                 f'{len(real[label])} real ones; lower the budget')
        starts, planned = {label: enumerate(own) for label, own in real.items()}, []
        for slot in slots:
            place, start = next(starts[slot.group])
            planned.append(replace(
                slot, source=start.image_id, sources=(start.image_id, ), source_path=start.path,
                prototype=dict(place=place, of=totals[slot.group])))
        return planned

    def real_images(self, label: int) -> List[RealAnnotation]:
        """The real images of a class, shuffled by the seed: the first ones are starts."""
        own = [a for a in self.annotations if a.labels[0] == label]
        order = torch.randperm(len(own), generator=generator('start', self.seed, label))
        return [own[i] for i in order.tolist()]

    def distill_step(self, slots, call_hook):
        """Make the classes of the slots, each once however its slots are batched."""
        begin, images = time.perf_counter(), []
        for slot in slots:
            key = (int(slot.labels[0]), slot.prototype['of'], slot.round)
            if self._made[0] != key:
                self._made = key, self.make_class(*key)
            images.append(self._made[1][slot.prototype['place']])
        samples = self.as_samples(slots, torch.stack(images), [{}] * len(slots))
        seconds = (time.perf_counter() - begin) / len(slots)
        return [replace(sample, seconds=seconds) for sample in samples]

    def make_class(self, label: int, num: int, round: int) -> Tensor:
        """The ``num`` images of a class, (num, 3, H, W), nominally in [0, 1]."""
        device = self.data_preprocessor.device
        mean, std = (x.to(device, torch.float32) for x in (self.mean, self.std))
        pixels = self.read_images(self.real_images(label))
        images = ((pixels[:num].to(device) - mean) / std).requires_grad_()
        descent = torch.optim.SGD([images], lr=self.lr, momentum=self.momentum)
        draws = generator('DM', self.seed, label, round)
        with self.timed('match'), torch.random.fork_rng(devices=[]):
            for iteration in range(self.iterations):
                rows = torch.randperm(len(pixels), generator=draws)[:self.real_batch]
                network = self.random_network(iteration).to(device)
                torch.default_generator.manual_seed(
                    derive_seed('augment', self.seed, label, round, iteration))
                views = self.siamese(torch.cat([(pixels[rows].to(device) - mean) / std, images]))
                descent.zero_grad()
                matching_loss(network, views[:len(rows)], views[len(rows):]).backward()
                descent.step()
        return (images.detach() * std + mean) / 255

    def read_images(self, annotations: Sequence[RealAnnotation]) -> Tensor:
        """(N, 3, H, W) uint8 RGB."""
        size = self.image_size[::-1]
        images = [mmcv.imresize(mmcv.imread(a.path, channel_order='rgb'), size,
                                interpolation='area') for a in annotations]
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    def random_network(self, iteration: int) -> nn.Module:
        """The network of an iteration; changes the state of the default generator."""
        torch.default_generator.manual_seed(derive_seed('network', self.seed, iteration))
        return MODELS.build(dict(self.network)).requires_grad_(False)

    def siamese(self, images: Tensor) -> Tensor:
        """Augment all of (B, 3, H, W) by the same draws."""
        def one(image: Tensor) -> Tensor:
            return self.augment(image[None], image.new_zeros(1, 0))[0][0]
        return torch.vmap(one, randomness='same')(images)


def matching_loss(network: nn.Module, real: Tensor, synthetic: Tensor) -> Tensor:
    """Squared distance of the mean embeddings of two batches, differentiable in the second."""
    with torch.no_grad():
        target = network(real)[-1].mean(0)
    return (target - network(synthetic)[-1].mean(0)).square().sum()
