"""What a distilled set cost, over restarts and ranks."""
import glob
import os.path as osp
from typing import Any, Dict, Mapping, Sequence

from mmengine.dist import get_rank, get_world_size

from mmdd.utils.stage_clock import StageClock
from mmdd.utils.state import read_state, write_state
from mmdd.utils.timing import peak_memory_mib, reset_peak_memory
from mmdd.utils.training_record import training_records

Stages = Dict[str, Dict[str, Any]]
# The part of a divided job that makes no image and writes the set.
WRITE = 'write'


class CostLog:
    """Keeps the cost of a job in its journal, one file per rank.

    Seconds and denoiser evaluations add up over restarts; what passed between the last
    :meth:`save` and a kill is lost. Reading a finished set again costs it nothing. Samples that
    ``train_cfg.reuse`` takes over count with what they cost when they were made.

    Args:
        folder: Folder of the journal.
        clock: Clock of this process.
        finished: Whether the set was finished before this process.
        part: Name of the part of a divided job that this process runs, such as 'shard0003';
            that of its first part gives the seconds.
    """

    def __init__(self, folder: str, clock: StageClock, finished: bool = False,
                 part: str = '') -> None:
        self.folder = osp.join(folder, 'cost')
        self.path = osp.join(self.folder, f'{part and part + "_"}rank{get_rank()}.json')
        self.clock = clock
        self.earlier = read_cost(self.path)
        self.closed = finished and bool(self.earlier)
        # A proxy that this process has trained says its own peak.
        reset_peak_memory()

    def save(self) -> None:
        """Write down what this rank has spent so far."""
        if not self.closed:
            write_state(self.path, dict(
                stages=add_stages(self.earlier.get('stages') or {}, self.clock.report()),
                peak_memory_mib=maxima(
                    [self.earlier.get('peak_memory_mib') or {}, peak_memory_mib()]),
                ranks=max(self.earlier.get('ranks') or 1, get_world_size())))

    def report(self, model: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]],
               images: int) -> Dict[str, Any]:
        """The entry ``cost`` of the manifest; rank 0 asks when the others have saved.

        Args:
            model: Config of the distiller: what its weights took to train counts too.
            attempts: Records of all samples that were made, also of those not kept.
            images: Images of the set.

        Returns:
            dict: ``stages`` (by name: ``kind``, ``seconds``, ``denoiser_passes``; of a
            training also ``updates``; 'screen' is what a pool of candidates takes until its
            choice of those that are sampled to the end), ``deploy_seconds`` and
            ``distill_seconds`` (their sums by kind), ``denoiser_passes``,
            ``seconds_per_image`` (of one sample), ``seconds_per_kept`` (of one image of the
            set, with its share of what was not kept), ``peak_memory_mib`` (``host``, ``gpu``;
            of the fullest rank) and ``ranks``.
        """
        self.save()
        files = {path: cost for path in sorted(glob.glob(
            osp.join(glob.escape(self.folder), '*rank*.json'))) if (cost := read_cost(path))}
        ranks = list(files.values())
        stages = dict(training_stages(model), **sum_ranks(ranks))
        sampled = sum(record['stats'].get('denoiser_passes', 0) for record in attempts)
        screened = sum(record['stats'].get('screening_passes', 0) for record in attempts)
        stages['synthesize']['denoiser_passes'] += sampled - screened
        if screened:
            screen = dict(kind='distill', seconds=0., denoiser_passes=0)
            stages.setdefault('screen', screen)['denoiser_passes'] += screened
        for stage in stages.values():
            stage['seconds'] = round(stage['seconds'], 3)
        seconds = sum(record['seconds'] for record in attempts)
        return dict(
            stages=stages,
            **{f'{kind}_seconds': round(sum(
                stage['seconds'] for stage in stages.values() if stage['kind'] == kind), 3)
                for kind in ('deploy', 'distill')},
            denoiser_passes=sum(stage['denoiser_passes'] for stage in stages.values()),
            seconds_per_image=round(seconds / len(attempts), 4),
            seconds_per_kept=round(seconds / images, 4),
            peak_memory_mib=maxima([rank['peak_memory_mib'] for rank in ranks]),
            ranks=sum(count_ranks(files).values()))


def read_cost(path: str) -> Dict[str, Any]:
    """What a rank wrote down; empty where there is nothing, or it is damaged and set aside."""
    return read_state(path, _is_cost, 'what it counted is lost') or {}


def _is_cost(content: Dict[str, Any]) -> bool:
    numbers = [content['ranks'], *content['peak_memory_mib'].values()]
    for stage in content['stages'].values():
        numbers += [stage['seconds'], stage['denoiser_passes']]
    kinds = {stage['kind'] for stage in content['stages'].values()}
    return kinds <= {'deploy', 'distill'} and all(
        isinstance(number, (int, float)) for number in numbers)


def add_stages(first: Stages, second: Stages) -> Stages:
    """Stages of two runs, with their seconds and denoiser evaluations added."""
    total = {name: dict(stage) for name, stage in first.items()}
    for name, stage in second.items():
        known = total.setdefault(name, dict(stage, seconds=0., denoiser_passes=0))
        known['seconds'] += stage['seconds']
        known['denoiser_passes'] += stage['denoiser_passes']
    return total


def sum_ranks(ranks: Sequence[Mapping[str, Any]]) -> Stages:
    """Stages of a job: the seconds of its first rank, the denoiser evaluations of all."""
    stages = {name: dict(stage) for name, stage in ranks[0]['stages'].items()}
    for rank in ranks[1:]:
        for name, stage in rank['stages'].items():
            known = stages.setdefault(name, dict(stage, denoiser_passes=0))
            known['denoiser_passes'] += stage['denoiser_passes']
    return stages


def count_ranks(files: Mapping[str, Mapping[str, Any]]) -> Dict[str, int]:
    """Ranks of each part of a job that makes images.

    Args:
        files: What ranks wrote down by the path of their file.
    """
    counts: Dict[str, int] = {}
    for path, cost in files.items():
        part = osp.basename(path).partition('rank')[0]
        counts[part] = max(counts.get(part, 1), cost['ranks'])
    return {part: number for part, number in counts.items()
            if part != f'{WRITE}_' or len(counts) == 1}


def maxima(peaks: Sequence[Mapping[str, int]]) -> Dict[str, int]:
    """The largest value of each key."""
    return {key: max(peak[key] for peak in peaks if key in peak)
            for key in sorted({key for peak in peaks for key in peak})}


def training_stages(model: Mapping[str, Any]) -> Stages:
    """What training the weights of a distiller took, a stage for each of its parts."""
    stages: Stages = {}
    for place, record in training_records(model).items():
        name = f'train {place}'
        stages[name] = dict(kind='deploy', seconds=float(record['seconds']),
                            denoiser_passes=int(record.get('denoiser_passes') or 0))
        if record.get('updates') is not None:
            stages[name]['updates'] = record['updates']
    return stages
