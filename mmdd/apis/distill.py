"""From a config to a distilled set."""
import logging
from typing import Optional

from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.logging import print_log

from mmdd.engine.distill_job import read_job, run_distillation
from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.sets import check_job_fits
from mmdd.utils.config import ConfigType


def distill(config: ConfigType,
            work_dir: Optional[str] = None,
            resume: bool = False,
            cfg_options: Optional[dict] = None,
            launcher: Optional[str] = None,
            shard: Optional[str] = None,
            merge: bool = False) -> str:
    """Run a distillation job: check, prepare, train what is missing, distill.

    Trained where they are missing: the proxy, the judge, and the fine-tuned weights of the
    diffusion.

    Args:
        config: Config file or dict.
        work_dir: Where everything goes; ``work_dirs/<config name>`` if None.
        resume: Resume an interrupted job in the same folder.
        cfg_options: Dotted options merged into the config.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'; the config's if None.
        shard: 'I/N' makes this shard of N (counted from 0) in a folder that all share; the last
            one to finish writes the set.
        merge: Only write the set of shards that are finished.

    Returns:
        str: Folder of the distilled set.

    Raises:
        FileNotFoundError: If the config is missing.
        ValueError: If the config, the real set, weights or folders are unusable.
    """
    cfg = read_job(config, cfg_options)
    given = {'launcher': launcher, 'work_dir': work_dir, 'train_cfg.shard': shard,
             'train_cfg.merge_shards': merge or None}
    cfg.merge_from_dict({key: value for key, value in given.items() if value is not None})
    return run_distillation(cfg, resume, [warn_of_protocol])


def warn_of_protocol(cfg: Config) -> None:
    """Warn where students of the job's own protocol could not be trained on its set.

    That need not matter: the set may be meant for other students.
    """
    if get_rank() == 0 and (cfg.get('evaluation') or {}).get('protocol') is not None:
        try:
            check_job_fits(cfg, read_protocol(cfg))
        except (ValueError, FileNotFoundError) as error:
            print_log(f'evaluation.protocol does not fit this job, evaluate the set with another '
                      f'one: {error}', 'current', logging.WARNING)
