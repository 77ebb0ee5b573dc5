"""Minimax fine-tuning of a DiT: the model of a stock training job."""
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.utils.numbers import check_number
from ...diffusions.difffit import add_scale_factors, mark_trainable, tie_embedders
from ...diffusions.fine_tuner import FineTuner
from .criteria import (
    FORMS,
    PAIRS,
    check_choice,
    diversity,
    mean_diversity,
    mean_representativeness,
    representativeness,
    zero_like,
)
from .memory import ClassMemory
from .variational import variational_bound

ESTIMATES = ('difference', 'clean')


@MODELS.register_module()
class MinimaxFineTuner(FineTuner):
    """`Efficient Dataset Distillation via Minimax Diffusion
    <https://arxiv.org/abs/2311.15529>`_ (CVPR 2024), algorithm 1.

    Minimises L_simple + lambda_r L_r + lambda_d L_d (equation 5) over the few
    parameters of DiffFit: biases, norms, scale factors and the class embedding. L_simple is
    the error of what the prior predicts, noise in the paper, v for a prior of v. L_r
    pulls a predicted embedding to the least similar of the real ones that are
    remembered for its class (equation 3), L_d pushes it from the most similar of
    the earlier predictions (equation 4). Both are averaged over the classes of the
    batch and skipped for classes whose memory is empty; memories are filled after
    the loss was computed. The paper leaves these two points open; they are those of the
    released code.

    The memories are buffers: a resumed training ends with the weights of an uninterrupted
    one. Each rank has memories of its own; a checkpoint holds those of rank 0.

    Args:
        diffusion: Config of the ``DiT`` to fine-tune; always held in fp32.
        num_classes: Classes of the real set.
        labels: The labels that this training sees, where it is a shard of a larger
            set; None means all.
        lambda_r: Weight of L_r; 0.002 in the paper.
        lambda_d: Weight of L_d; 0.008 in the paper.
        memory_size: Entries of each memory of a class; 64 in the paper.
        representativeness: 'minimax' for equation 3, 'mean' for equation 2, 'none'.
        diversity: 'minimax' for equation 4, 'mean' for its form without the maximum
            (table 5), 'none'.
        estimate: The predicted embedding. 'clean' is
            (z_t - sqrt(1 - abar) eps) / sqrt(abar), the released code's, which the
            published figures come from; 'difference' is z_t - eps, as algorithm 1
            writes it. Only the first is an estimate of z_0: at small t the second takes
            away all of the noise where z_t holds little of it, and what is compared is
            z_0 - eps. The two agree towards the noisy end, up to a factor, to which the
            cosine is blind.
        pairs: 'class' keeps the hardest pair of a class alone, as the released code does;
            'item' gives every prediction its hardest partner, as equations 3 and 4
            are written.
        scale_layers, scale_blocks: Where DiffFit's scale factors are, see
            ``add_scale_factors``. By default at both parts of every block, as in
            DiffFit. The released code has them in the first 14 of 28 blocks, on
            queries, keys and values too, and two of them on the output of attention.
        class_dropout: Share of the images whose class is the null class, for
            classifier-free guidance.
        flip: Probability of a horizontal flip (released code: 0.5).
        sample_posterior: Draw latents from the autoencoder's posterior, as the
            released code does, instead of taking its mean.
        variational: Add the variational bound that trains a learned variance, as the
            released code does; needs a DiT with 2C outputs.
        gradient_checkpointing: Trade time for memory.
        seed: Seed of the noise.

    Raises:
        ValueError: If a setting is unknown or out of range, or the DiT has too few
            classes.
    """

    # Its memories and hardest pairs are those of all images of a class.
    needs_whole_batch = True
    limits = dict(
        num_classes=dict(low=1), labels=dict(low=0), lambda_r=dict(low=0), lambda_d=dict(low=0),
        memory_size=dict(low=1), estimate=ESTIMATES, pairs=PAIRS, scale_blocks=dict(low=0),
        class_dropout=dict(low=0, high=1), flip=dict(low=0, high=1), seed=dict(low=0))

    def __init__(self,
                 diffusion: dict,
                 num_classes: int,
                 labels: Optional[Sequence[int]] = None,
                 lambda_r: float = 0.002,
                 lambda_d: float = 0.008,
                 memory_size: int = 64,
                 representativeness: str = 'minimax',
                 diversity: str = 'minimax',
                 estimate: str = 'clean',
                 pairs: str = 'class',
                 scale_layers: Sequence[str] = ('attn', 'ff'),
                 scale_blocks: Optional[int] = None,
                 class_dropout: float = 0.1,
                 flip: float = 0.,
                 sample_posterior: bool = False,
                 variational: bool = False,
                 gradient_checkpointing: bool = False,
                 seed: int = 0,
                 data_preprocessor: Optional[dict] = None) -> None:
        for name, value, known in (
                ('representativeness', representativeness, FORMS), ('diversity', diversity, FORMS),
                ('estimate', estimate, ESTIMATES), ('pairs', pairs, PAIRS)):
            check_choice(name, value, known)
        prior = MODELS.build(dict(
            diffusion, dtype='fp32', gradient_checkpointing=gradient_checkpointing))
        prior.prior_classes(range(num_classes))
        if variational and prior.out_channels != 2 * prior.channels:
            raise ValueError(f'MinimaxFineTuner: variational needs a DiT with '
                             f'{2 * prior.channels} output channels, this one has '
                             f'{prior.out_channels}')
        tie_embedders(prior.transformer)
        add_scale_factors(prior.transformer, scale_layers, scale_blocks)
        super().__init__(prior, 'transformer', mark_trainable(prior.transformer), flip,
                         sample_posterior, seed, data_preprocessor)
        self.forms = (representativeness, diversity)
        self.weights = tuple(check_number(f'MinimaxFineTuner: {name}', value) for name, value in (
            ('lambda_r', lambda_r), ('lambda_d', lambda_d)))
        self.estimate = estimate
        self.pairs = pairs
        self.class_dropout = class_dropout
        self.variational = variational
        self.positions = {label: i for i, label in enumerate(
            range(num_classes) if labels is None else labels)}
        side = self.transformer.config.sample_size
        shape = (prior.channels, side, side)
        self.real = ClassMemory(len(self.positions), memory_size, shape)
        self.predicted = ClassMemory(len(self.positions), memory_size, shape)

    def read(self, data_samples: Sequence[Any]) -> List[int]:
        """The labels of images."""
        return [int(sample.gt_label) for sample in data_samples]

    def losses(self, clean: Tensor, labels: Sequence[int],
               draws: torch.Generator) -> Dict[str, Tensor]:
        """The terms of equation 5 for latents (B, C, h, w), then fill the memories.

        Args:
            clean: z_0.
            labels: Labels of the real set.
            draws: Source of timesteps, noise and dropped classes.
        """
        t = torch.randint(self.prior.num_timesteps, (len(clean), ), generator=draws)
        noise = torch.randn(clean.shape, generator=draws).to(clean)
        dropped = torch.rand(len(clean), generator=draws) < self.class_dropout
        classes = self.prior.prior_classes(labels)
        classes = classes.where(~dropped.to(classes.device), self.prior.num_classes)
        t = t.to(clean.device)
        noisy = self.prior.add_noise(clean, noise, t)
        out = self.transformer(noisy, timestep=t, class_labels=classes).sample
        self.prior.count_passes(len(clean))
        output = out[:, :clean.shape[1]]
        target = self.prior.training_target(clean, noise, t)
        losses = dict(loss_simple=(output - target).square().mean())
        predicted_noise = self.prior.as_noise(output, noisy, t)
        if self.variational:
            outputs = torch.cat([predicted_noise, out[:, clean.shape[1]:]], 1)
            losses['loss_variational'] = variational_bound(
                outputs, clean, noisy, t, self.prior.scheduler.alphas_cumprod).mean()
        embeddings = self.embeddings(noisy, predicted_noise, t)
        losses.update(self.criteria(embeddings, clean, labels))
        return losses

    def embeddings(self, noisy: Tensor, predicted_noise: Tensor, t: Tensor) -> Tensor:
        """The predicted embeddings, see ``estimate``."""
        if self.estimate == 'difference':
            return noisy - predicted_noise
        return self.prior.clean_estimate(noisy, predicted_noise, t)

    def criteria(self, embeddings: Tensor, clean: Tensor,
                 labels: Sequence[int]) -> Dict[str, Tensor]:
        """lambda_r L_r and lambda_d L_d of a batch; then the batch enters the memories."""
        present = sorted(set(labels))
        sums = [zero_like(embeddings), zero_like(embeddings)]
        for label in present:
            members = [i for i, other in enumerate(labels) if other == label]
            for k, term in enumerate(self.class_criteria(
                    embeddings[members], clean, self.positions[label])):
                sums[k] = sums[k] + term / len(present)
            self.real.push(self.positions[label], clean[members])
            self.predicted.push(self.positions[label], embeddings[members])
        names = ('loss_representativeness', 'loss_diversity')
        return {name: weight * value for name, weight, value, form in zip(
            names, self.weights, sums, self.forms) if form != 'none'}

    def class_criteria(self, embeddings: Tensor, clean: Tensor,
                       position: int) -> Tuple[Tensor, Tensor]:
        """L_r and L_d of one class; zero where the class has no memory yet."""
        zero = zero_like(embeddings)
        real, earlier = self.real.get(position), self.predicted.get(position)
        if not len(real):
            return zero, zero
        form_r, form_d = self.forms
        l_r = zero if form_r == 'none' else (
            mean_representativeness(embeddings, clean) if form_r == 'mean' else
            representativeness(embeddings, real, self.pairs))
        l_d = zero if form_d == 'none' else (
            mean_diversity(embeddings, earlier) if form_d == 'mean' else
            diversity(embeddings, earlier, self.pairs))
        return l_r, l_d
