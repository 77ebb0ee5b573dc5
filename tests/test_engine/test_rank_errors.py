"""An error of one rank of a job ends all of them, with one line."""
import json

import processes
import pytest
import tiny
from mmengine.config import Config

PLUGIN = '''
from mmengine.dist import get_rank

from mmdd.datasets import ClassFolderWriter
from mmdd.models import UniDD
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.utils import cli

cli.GRACE = 0.5
FAIL = []


def stop(stage):
    if [stage, get_rank()] == FAIL[:2]:
        raise (RuntimeError if FAIL[2:] else ValueError)(f'stop at {stage}')


@MODELS.register_module()
class Failing(UniDD):

    @classmethod
    def check_config(cls, cfg):
        super().check_config(cfg)
        stop('check')

    def collect(self, data_batch):
        stop('collect')
        super().collect(data_batch)

    def finish_collect(self, folder=None):
        stop('finish_collect')
        super().finish_collect(folder)

    def plan(self, budget):
        stop('plan')
        return super().plan(budget)

    def distill_step(self, slots, call_hook):
        stop('step')
        return super().distill_step(slots, call_hook)


@TASK_UTILS.register_module()
class FailingWriter(ClassFolderWriter):

    def check(self, classes, slots):
        stop('read_plan')
        super().check(classes, slots)

    def close(self, samples, out_dir, classes):
        stop('write')
        return super().close(samples, out_dir, classes)
'''
WORKER = '''
import json
import os
import sys

from mmengine.config import Config
from mmengine.dist import get_rank

from mmdd.apis import distill
from mmdd.utils.cli import run_cli
from mmdd.utils.runner import init_launcher

folder, *cases = sys.argv[1:]
found = {}
sys.path.insert(0, folder)


def work(case, name):
    import failing
    failing.FAIL[:] = json.loads(case)
    distill(f'{folder}/job.py', f'{folder}/{name}')


def main():
    init_launcher(Config(dict(launcher='pytorch')))
    for number, case in enumerate(cases):
        try:
            work(case, number)
        except Exception as error:
            found[case] = f'{type(error).__name__}: {error}'
    with open(f'{folder}/{get_rank()}.json', 'w') as f:
        json.dump(found, f)
    work(cases[-1], 'last')


run_cli(main)
'''
CASES = [('check', 0), ('check', 1), ('collect', 1), ('finish_collect', 0), ('finish_collect', 1),
         ('plan', 0), ('read_plan', 1), ('step', 0), ('write', 0), ('step', 1, 'internal')]


@pytest.mark.slow
def test_an_error_of_one_rank_reaches_the_other(digits, tmp_path):
    """At any stage of a job, on either rank; the command line says it once and ends both."""
    cfg = tiny.classification_job(digits, batch_size=2)
    cfg['model']['type'] = 'Failing'
    cfg['train_cfg']['writer'] = dict(type='FailingWriter')
    cfg['custom_imports'] = dict(imports=['failing'], allow_failed_imports=False)
    cfg['launcher'] = 'pytorch'
    Config(cfg).dump(str(tmp_path / 'job.py'))
    (tmp_path / 'failing.py').write_text(PLUGIN)
    (tmp_path / 'worker.py').write_text(WORKER)
    ranks = processes.start_ranks(tmp_path / 'worker.py', tmp_path, *map(json.dumps, CASES))
    assert [rank.wait(200) for rank in ranks] == [1, 1], ranks[0].output + ranks[1].output
    found = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)]
    for stage, failed, *internal in CASES:
        line = ('RuntimeError: ' if internal else '') + f'stop at {stage}'
        if failed:
            line = f'rank {failed}: {line}'
        case = json.dumps([stage, failed, *internal])
        assert found[1][case] == f'FailedElsewhere: {line}'
        assert found[0][case] == f'{"FailedElsewhere" if failed else "ValueError"}: {line}'
    output = ranks[0].output + ranks[1].output
    assert output.count('error: ') == 1
    assert 'error: rank 1: RuntimeError: stop at step (' in ranks[0].output
