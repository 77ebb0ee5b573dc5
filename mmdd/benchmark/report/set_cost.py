"""What making a distilled set cost, from its manifest."""
import statistics
from typing import Any, Dict, Mapping

# Stages of the loop that are a one-time cost of a real set, for sets whose manifest does not say.
DEPLOY_STAGES = ('prepare', )


def set_cost(content: Mapping[str, Any]) -> Dict[str, Any]:
    """The cost of a set.

    Args:
        content: Manifest of the set. One from before mmdd counted denoiser evaluations has
            seconds and memory all the same.

    Returns:
        dict: As :meth:`mmdd.engine.cost.CostLog.report`; of an older manifest the keys that
        it knows.
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
