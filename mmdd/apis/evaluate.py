"""From sets to a table of what students learn from them."""
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmdd.evaluation.protocol import read_protocol
from mmdd.evaluation.report import write_report
from mmdd.evaluation.student import describe_runs, evaluate_sets, plan_runs
from mmdd.utils.config import ConfigType
from .prepare import prepare


def evaluate(protocol: ConfigType,
             sets: Mapping[str, str],
             work_dir: str,
             seeds: Sequence[int] = (0, 1, 2),
             jobs: Optional[int] = None,
             cfg_options: Optional[Dict[str, Any]] = None,
             full_seeds: Optional[Sequence[int]] = None) -> List[Dict[str, Any]]:
    """Train students on every set, test them on real data, write the table.

    Args:
        protocol: Student protocol, or a distillation config that names one in
            ``evaluation.protocol``.
        sets: Folder of each set by name; 'full' for the protocol's real set.
        work_dir: Where ``results.json``, ``results.md`` and the runs go. Finished
            runs are skipped, so calling it again goes on where it stopped.
        seeds: One student is trained per set and seed.
        jobs: Students that are trained at once; as many as there are GPUs, or
            CPU cores, if None.
        cfg_options: Dotted options merged into the protocol.
        full_seeds: Seeds of the arm 'full', which is the slowest; ``seeds`` if None.

    Returns:
        list[dict]: One row per arm, see :func:`mmdd.evaluation.summarize`.

    Raises:
        FileNotFoundError: If a set is incomplete.
        ValueError: If a set or the protocol is unusable, or a run failed; the
            finished runs are in the report then.
    """
    cfg = read_protocol(protocol)
    cfg.merge_from_dict(cfg_options or {})
    prepare(cfg)
    for line in describe_runs(plan_runs(sets, cfg, work_dir, seeds, full_seeds)):
        print(line, flush=True)
    results = evaluate_sets(sets, cfg, work_dir, seeds, jobs, full_seeds)
    rows = write_report(results, work_dir, f'Students, {len(seeds)} seeds')
    failed = [result for result in results if 'error' in result]
    if failed:
        raise ValueError(f'{len(failed)} of {len(results)} runs failed; the first: arm '
                         f'{failed[0]["arm"]} seed {failed[0]["seed"]}: {failed[0]["error"]}; '
                         f'see {failed[0]["log"]}')
    return rows
