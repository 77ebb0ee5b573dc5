"""What the manifest of a distilled set says of it: budget, scores, cost."""
import os.path as osp
import statistics
from collections import Counter
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmdd.utils.grouping import grouped
from .manifest import MANIFEST, read_manifest

SUMMARY = ('method', 'budget', 'budget_asked', 'budget_met', 'images_made', 'discard_rate',
           'versions', 'metrics')
# Stages of the loop that are a one-time cost of a real set, for sets whose manifest does not say.
DEPLOY_STAGES = ('prepare', )


def read_set_manifest(folder: str) -> Dict[str, Any]:
    """The manifest of a distilled set; FileNotFoundError without one, ValueError if damaged."""
    content = read_manifest(folder, images=True)
    if not content:
        raise FileNotFoundError(f'{osp.join(folder, MANIFEST)} not found: the set is not finished')
    return content


def set_facts(folder: str) -> Dict[str, Any]:
    """Facts of the distilled set in a folder, all from its manifest.

    ``SUMMARY`` fields as they are, and ``images``, ``classes`` (how many), ``job``
    (fingerprint), ``label_sources`` (images by source), ``score`` and ``judge_score``
    (:func:`score_range` or None), ``per_class`` (images and objects of each class; None of an
    older manifest), ``rounds`` (mean tries per slot) and ``cost`` (:func:`set_cost`). Errors are
    those of :func:`read_set_manifest`.
    """
    content = read_set_manifest(folder)
    images: Sequence[Mapping[str, Any]] = content['images']
    facts = {key: content.get(key) for key in SUMMARY}
    for key in ('score', 'judge_score'):
        facts[key] = score_range([entry[key] for entry in images if entry.get(key) is not None])
    facts.update(
        images=len(images), classes=len(content.get('classes') or ()),
        job=(content.get('job') or {}).get('fingerprint'),
        label_sources=dict(Counter(str(entry.get('label_source')) for entry in images)),
        per_class=content.get('per_class'),
        rounds=statistics.fmean(entry.get('rounds') or 1 for entry in images),
        cost=set_cost(content))
    return facts


def score_range(values: Sequence[float]) -> Optional[Dict[str, float]]:
    """Mean, sample standard deviation, minimum, median and maximum; None of nothing."""
    if not values:
        return None
    return dict(mean=statistics.fmean(values), min=min(values), max=max(values),
                median=statistics.median(values),
                std=statistics.stdev(values) if len(values) > 1 else 0.)


def mean_cost(facts: Sequence[Mapping[str, Any]]) -> Dict[str, float]:
    """Cost of a method, the mean over :func:`set_facts` of its sets, as far as it is known.

    ``seconds_per_image``, ``seconds_per_kept``, ``passes_per_kept`` (denoiser evaluations), and
    ``host`` and ``gpu`` peak memory in MiB.
    """
    found: List[Tuple[str, float]] = []
    for entry in facts:
        cost = entry['cost']
        found += [*cost['peak_memory_mib'].items(),
                  *((key, cost[key]) for key in ('seconds_per_image', 'seconds_per_kept'))]
        if cost.get('denoiser_passes') is not None:
            found.append(('passes_per_kept', cost['denoiser_passes'] / entry['images']))
    return {key: statistics.fmean(values) for key, values in grouped(found).items()}


def set_cost(content: Mapping[str, Any]) -> Dict[str, Any]:
    """The cost of a set by its manifest, as :meth:`mmdd.engine.cost.CostLog.report`.

    A manifest from before mmdd counted denoiser evaluations has seconds and memory alone.
    """
    if content.get('cost'):
        return dict(content['cost'])
    images = content['images']
    mean = statistics.fmean(float(entry.get('seconds') or 0.) for entry in images)
    made = content.get('images_made') or len(images)
    cost: Dict[str, Any] = dict(
        seconds_per_image=mean, seconds_per_kept=mean * made / len(images),
        peak_memory_mib=dict(content.get('peak_memory_mib') or {}), stages={})
    seconds = content.get('stage_seconds') or {}
    for name, value in seconds.items():
        kind = 'deploy' if name in DEPLOY_STAGES else 'distill'
        cost['stages'][name] = dict(kind=kind, seconds=value)
        cost[f'{kind}_seconds'] = cost.get(f'{kind}_seconds', 0.) + value
    return cost
