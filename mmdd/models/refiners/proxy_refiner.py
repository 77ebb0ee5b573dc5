"""Score, filter and relabel by the proxy (UniDD, equation 11)."""
import math
from typing import Dict, List, Optional, Tuple

import torch

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, RealAnnotation, Target
from mmdd.utils.finite import NO_SCORE
from ..proxies import TaskProxy
from ..proxies.scoring import predict_samples

LABELS = ('proxy', 'slot', 'merged')
BY = dict(proxy=('proxy', ), judge=('judge', ), both=('proxy', 'judge'))


class BaseRefiner:
    """Scores, filters or changes samples after they are made.

    Attributes:
        needs: Parts of the distiller without which it cannot work, 'proxy' or 'judge'.
    """
    needs: Tuple[str, ...] = ()

    def check(self, proxy: Optional[TaskProxy], annotation: RealAnnotation) -> None:
        """Check that the proxy suits a real set, before it is trained.

        Args:
            proxy: The proxy without its weights; None without one.
            annotation: Labels of the first image of the real set.

        Raises:
            ValueError: If it does not.
        """

    def __call__(self, samples: List[DistilledSample], proxy: TaskProxy) -> None:
        """Refine ``samples`` in place; the judge's scores are there already.

        It may write ``score`` in [0, 1], ``rank``, ``accepted``, the label and an image of the
        same form, see :class:`DistilledSample`. A job stops at a score outside of that range.
        """
        raise NotImplementedError


@TASK_UTILS.register_module()
class ProxyRefiner(BaseRefiner):
    r"""Proxy-driven high-realism refinement (UniDD, section 3.3, equation 11).

    .. math:: \{x, y\} = \{x_i, F_{label}(x_i) \mid score(F(x_i)) \ge \tau\}

    **Which labels.** 'proxy': what the proxy sees. 'slot': what was asked for. 'merged': both,
    that is the objects that the proxy is sure of and those of the slot that they do not
    overlap with an IoU of 0.5 or more (:func:`merge_boxes`, :func:`merge_masks`). A proxy that
    is sure of nothing in an image (its ``relabel_thr``) never labels it: the slot's labels
    stay.

    A rejected image may still end up in the set, where all rounds of a slot are rejected. It
    keeps the labels of its slot: a proxy that recognises little names one class for everything,
    and the others would be empty. Where images have boxes or masks, ``reject_labels`` may say
    otherwise; in classification a reject always keeps the class of its slot.

    A sample whose score is not finite fails (``DistilledSample.failure``).

    Args:
        threshold: :math:`\tau`; the paper takes 0.9 for classification, 0.85
            for detection and 0.75 for segmentation.
        relabel: False is short for ``labels='slot'``.
        labels: Labels of accepted images: 'proxy' (the default), 'slot' or 'merged'.
        reject_labels: Labels of rejected images with boxes or masks: 'slot' (the default),
            'proxy' or 'merged'.
        by: What must reach its threshold: 'proxy', 'judge' or 'both'. By default the proxy,
            and both where ``judge_threshold`` is given.
        judge_threshold: :math:`\tau` of the judge (``model.judge``); ``threshold`` if None.

    Raises:
        ValueError: If a threshold is not in [0, 1], a name is unknown, or the options
            contradict each other.
    """

    limits = dict(threshold=dict(low=0, high=1), judge_threshold=dict(low=0, high=1))

    def __init__(self,
                 threshold: float,
                 relabel: bool = True,
                 labels: Optional[str] = None,
                 reject_labels: str = 'slot',
                 by: Optional[str] = None,
                 judge_threshold: Optional[float] = None) -> None:
        for name, value in (('threshold', threshold), ('judge_threshold', judge_threshold)):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f'ProxyRefiner: {name} must be in [0, 1], got {value}')
        labels = labels or ('proxy' if relabel else 'slot')
        for name, kind in (('labels', labels), ('reject_labels', reject_labels)):
            if kind not in LABELS:
                raise ValueError(
                    f"ProxyRefiner: {name} must be 'proxy', 'slot' or 'merged', got {kind!r}")
            if not relabel and kind != 'slot':
                raise ValueError(f'ProxyRefiner: relabel=False contradicts {name}={kind!r}; '
                                 f'leave relabel out')
        if by not in (None, *BY):
            raise ValueError(f"ProxyRefiner: by must be 'proxy', 'judge' or 'both', got {by!r}")
        if by == 'proxy' and judge_threshold is not None:
            raise ValueError("ProxyRefiner: judge_threshold has no effect with by='proxy'; leave "
                             "one of them out")
        self.threshold = threshold
        self.labels = labels
        self.reject_labels = reject_labels
        self.by = by or ('proxy' if judge_threshold is None else 'both')
        self.needs = ('proxy', 'judge') if 'judge' in BY[self.by] else ('proxy', )
        self.judge_threshold = threshold if judge_threshold is None else judge_threshold

    def check(self, proxy: Optional[TaskProxy], annotation: RealAnnotation) -> None:
        """Check that labels of the proxy hold what those of the real set do."""
        taken = {self.labels, self.reject_labels} - {'slot'}
        given = getattr(proxy, 'label_parts', None)
        wanted = annotation.target.parts
        if not taken or given is None or set(given) == set(wanted) or (
                taken == {'proxy'} and set(given) > set(wanted)):
            return
        kind = type(getattr(proxy, 'model', proxy)).__name__
        raise ValueError(
            f'ProxyRefiner: labels={max(taken)!r} takes labels of the proxy, {kind}, which gives '
            f'{_names(given)}, while {annotation.path} has {_names(wanted)}: give a proxy of the '
            f"same kind of labels, or labels='slot'")

    def __call__(self, samples: List[DistilledSample], proxy: TaskProxy) -> None:
        """Score ``samples`` in place; one forward of the proxy serves all uses."""
        images, predictions = predict_samples(samples, proxy, 'proxy')
        scores = proxy.score(images, samples, predictions)
        margins = self._margins(scores, samples)
        for sample, score, margin in zip(samples, scores.tolist(), margins.tolist()):
            sample.score, sample.accepted = score, margin >= 0
            sample.rank = None if self.by == 'proxy' else margin
            if not math.isfinite(score):
                sample.fail(NO_SCORE)
        self._label(samples, proxy, images, predictions)

    def _margins(self, scores: torch.Tensor, samples: List[DistilledSample]) -> torch.Tensor:
        """How far each sample is above the thresholds that count, (B,); the least of them."""
        margins = []
        if 'proxy' in BY[self.by]:
            # In the scores' own precision: 0.9 as fp32 is less than 0.9 as a double.
            margins.append(scores - torch.tensor(self.threshold, dtype=scores.dtype))
        if 'judge' in BY[self.by]:
            if any(sample.judge_score is None for sample in samples):
                raise ValueError(f'ProxyRefiner: by={self.by!r} needs model.judge; the config '
                                 f'gives none')
            judged = torch.tensor([sample.judge_score for sample in samples], dtype=scores.dtype)
            margins.append(judged - torch.tensor(self.judge_threshold, dtype=scores.dtype))
        return torch.stack(margins).amin(0)

    def _label(self, samples: List[DistilledSample], proxy: TaskProxy, images: torch.Tensor,
               predictions: list) -> None:
        """Give the samples the labels that the options ask for."""
        sure = proxy.is_sure(images, predictions)
        found: Dict[str, List[Target]] = {}
        for i, sample in enumerate(samples):
            if sample.failure:
                continue
            has_objects = sample.slot.target.has_objects
            if not sure[i] and has_objects and self.labels != 'slot':
                # However sure the proxy is that nothing is there.
                sample.score, sample.accepted = 0., False
                sample.rank = None if sample.rank is None else min(sample.rank, -self.threshold)
            source = self.labels if sample.accepted else (
                self.reject_labels if has_objects else 'slot')
            if source == 'slot' or not sure[i]:
                continue
            if source not in found:
                found[source] = (proxy.relabel(images, predictions) if source == 'proxy' else
                                 proxy.merge(images, samples, predictions))
            sample.target, sample.label_source = found[source][i], source


def _names(parts: Tuple[str, ...]) -> str:
    """Parts of a target in words."""
    words = dict(bboxes='boxes', mask='a mask of the classes', masks='a mask for each object')
    return ' and '.join(words.get(part, part) for part in parts) or 'classes alone'
