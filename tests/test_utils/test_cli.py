"""Errors of a distributed job: printed once."""
import os

import pytest
import torch.distributed as dist

from mmdd.utils.cli import run_cli


def fail():
    raise ValueError('no such folder')


def code_of(main):
    with pytest.raises(SystemExit) as info:
        run_cli(main)
    return info.value.code


LINE = 'error: no such folder (MMDD_DEBUG=1 shows the traceback)'


@pytest.mark.parametrize('environment, code', [
    ({}, LINE), (dict(LOCAL_RANK='0', SLURM_LOCALID='0'), LINE), (dict(LOCAL_RANK='1'), 1),
    (dict(LOCAL_RANK='0', SLURM_LOCALID='2'), 1), (dict(OMPI_COMM_WORLD_LOCAL_RANK='3'), 1)])
def test_before_there_is_a_group_each_machine_prints_once(monkeypatch, environment, code):
    for name in ('LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert code_of(fail) == code


def rank(number, folder, texts):
    """One of two ranks that fail; writes down what it would print."""
    store = dist.FileStore(f'{folder}/store', 2)
    dist.init_process_group('gloo', store=store, rank=number, world_size=2)

    def main():
        raise ValueError(texts[number])

    with open(f'{folder}/{number}', 'w') as f:
        f.write(str(code_of(main)))
    os._exit(0)


@pytest.mark.parametrize('texts, printed', [(['same', 'same'], 1), (['one', 'two'], 2)])
def test_ranks_of_a_group_print_each_line_once(tmp_path, texts, printed):
    import multiprocessing
    context = multiprocessing.get_context('spawn')
    ranks = [context.Process(target=rank, args=(i, str(tmp_path), texts)) for i in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(100)
    codes = [(tmp_path / str(i)).read_text() for i in range(2)]
    assert sum(code.startswith('error: ') for code in codes) == printed
    assert codes.count('1') == 2 - printed
