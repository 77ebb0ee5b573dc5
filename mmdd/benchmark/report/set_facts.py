"""What the manifest of a distilled set says of it: budget, scores, cost."""
import os.path as osp
import statistics
from collections import Counter
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmdd.datasets.manifest import MANIFEST, read_manifest
from mmdd.utils.training_record import read_record
from .set_cost import set_cost

SUMMARY = ('method', 'budget', 'budget_asked', 'budget_met', 'images_made', 'discard_rate',
           'versions', 'metrics')


def read_set_manifest(folder: str) -> Dict[str, Any]:
    """The manifest of a distilled set.

    Raises:
        FileNotFoundError: If there is none: the set is not finished.
        ValueError: If it is damaged.
    """
    content = read_manifest(folder, images=True)
    if not content:
        raise FileNotFoundError(f'{osp.join(folder, MANIFEST)} not found: the set is not finished')
    return content


def set_facts(folder: str) -> Dict[str, Any]:
    """Facts of a distilled set, all from its manifest.

    Args:
        folder: Folder of the set.

    Returns:
        dict: ``SUMMARY`` fields as they are, and ``images``, ``classes`` (how many),
        ``job`` (fingerprint), ``label_sources`` (images by source), ``score``
        and ``judge_score`` (:func:`spread` or None), ``per_class`` (images and objects of each
        class; None of an older manifest), ``rounds`` (mean tries per slot) and ``cost``
        (:func:`set_cost`).
    """
    content = read_set_manifest(folder)
    images: Sequence[Mapping[str, Any]] = content['images']
    facts = {key: content.get(key) for key in SUMMARY}
    facts.update(
        images=len(images), classes=len(content.get('classes') or ()),
        job=(content.get('job') or {}).get('fingerprint'),
        label_sources=dict(Counter(str(entry.get('label_source')) for entry in images)),
        score=spread([entry['score'] for entry in images if entry.get('score') is not None]),
        judge_score=spread([entry['judge_score'] for entry in images
                            if entry.get('judge_score') is not None]),
        per_class=content.get('per_class'),
        rounds=statistics.fmean(entry.get('rounds') or 1 for entry in images),
        cost=set_cost(content))
    return facts


def spread(values: Sequence[float]) -> Optional[Dict[str, float]]:
    """Mean, sample standard deviation, least, median and greatest; None of nothing."""
    if not values:
        return None
    return dict(mean=statistics.fmean(values), min=min(values), max=max(values),
                median=statistics.median(values),
                std=statistics.stdev(values) if len(values) > 1 else 0.)


def mean_facts(facts: Sequence[Mapping[str, Any]]) -> Dict[str, float]:
    """Cost of an arm, the mean over its sets.

    Args:
        facts: :func:`set_facts` of each set.

    Returns:
        dict: ``seconds_per_image``, ``seconds_per_kept``, ``passes_per_kept`` (denoiser
        evaluations), and ``host`` and ``gpu`` peak memory in MiB, those that are known.
    """
    found: Dict[str, List[float]] = {}
    for entry in facts:
        cost = entry['cost']
        values = dict(cost['peak_memory_mib'], seconds_per_image=cost['seconds_per_image'],
                      seconds_per_kept=cost['seconds_per_kept'])
        if cost.get('denoiser_passes') is not None:
            values['passes_per_kept'] = cost['denoiser_passes'] / entry['images']
        for key, value in values.items():
            found.setdefault(key, []).append(float(value))
    return {key: statistics.fmean(values) for key, values in found.items()}


def proxy_facts(checkpoint: Optional[str]) -> Optional[Dict[str, Any]]:
    """What training a proxy cost and reached: the JSON file beside its checkpoint."""
    content = read_record(checkpoint)
    return content and {key: content.get(key) for key in (
        'config', 'seconds', 'updates', 'metrics')}
