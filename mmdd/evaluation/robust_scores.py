"""Scores that separate a distilled set from the tricks of its evaluation.

Label-robust and augmentation-robust score of DD-Ranking (https://arxiv.org/abs/2505.13300).
They are stated for accuracies; the same formulas hold for mAP and mIoU. All of them are shares
in [0, 1], not percent.
"""
import math

from mmdd.utils.numbers import check_number


def hlr(real_hard: float, syn_hard: float) -> float:
    """Hard-label recovery: accuracy of the full real set minus that of the distilled set.

    Both with hard labels. Smaller is better. ValueError for accuracies out of [0, 1].
    """
    return _share(real_hard) - _share(syn_hard)


def ior(syn_any: float, random_any: float) -> float:
    """Improvement over random: the distilled set minus random real images.

    Of the same size, both with the same labels of any kind. Larger is better. ValueError for
    accuracies out of [0, 1].
    """
    return _share(syn_any) - _share(random_any)


def normalized(alpha: float) -> float:
    """(exp(alpha) - exp(-1)) / (e - exp(-1)) of [-1, 1]: monotone, 0 for -1 and 1 for 1.

    ValueError for others.
    """
    check_number('the sum of a score', alpha, low=-1, high=1)
    return (math.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1))


def label_robust_score(real_hard: float, syn_hard: float, syn_any: float, random_any: float,
                       w: float = 0.5) -> float:
    """LRS, in [0, 1]: what a set gains beyond what soft labels give.

    alpha = w IOR - (1 - w) HLR, then :func:`normalized`. DD-Ranking, w = 0.5.

    Args:
        real_hard: Full real set, hard labels.
        syn_hard: Distilled set, hard labels.
        syn_any: Distilled set, any labels.
        random_any: Random real images of the same number, labels as for ``syn_any``.
        w: Weight of IOR.

    Raises:
        ValueError: If an accuracy or the weight is out of [0, 1].
    """
    check_number('w', w, low=0, high=1)
    return normalized(w * ior(syn_any, random_any) - (1 - w) * hlr(real_hard, syn_hard))


def augmentation_robust_score(syn_aug: float, rnd_aug: float, syn_noaug: float,
                              rnd_noaug: float, gamma: float = 0.5) -> float:
    """ARS, in [0, 1]: what a set gains over random images with and without augmentation.

    beta = gamma (syn_aug - rnd_aug) + (1 - gamma) (syn_noaug - rnd_noaug), then
    :func:`normalized`. DD-Ranking, gamma = 0.5.

    Args:
        syn_aug: Distilled set, with augmentation.
        rnd_aug: Random real images of the same number, with augmentation.
        syn_noaug: Distilled set, without.
        rnd_noaug: Random real images, without.
        gamma: Weight of training with augmentation.

    Raises:
        ValueError: If an accuracy or the weight is out of [0, 1].
    """
    check_number('gamma', gamma, low=0, high=1)
    return normalized(gamma * ior(syn_aug, rnd_aug) + (1 - gamma) * ior(syn_noaug, rnd_noaug))


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f'accuracies are shares from 0 to 1 here, got {value}: divide percent '
                         f'by 100')
    return value
