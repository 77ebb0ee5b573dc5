"""Students over sets and seeds: results, resuming, failures, independence of the workers."""
import json
import os.path as osp

import pytest
import toy_student

from mmdd.apis import evaluate
from mmdd.evaluation import evaluate_sets


@pytest.fixture
def real(tmp_path):
    return toy_student.protocol(tmp_path / 'real')


def numbers(rows):
    return [{k: v for k, v in row.items() if k != 'seconds'} for row in rows]


def test_a_perfect_set_gives_the_perfect_score(real, tmp_path):
    sets = dict(good=toy_student.voc_set(tmp_path / 'good', [1]),
                bad=toy_student.voc_set(tmp_path / 'bad', [2]))
    rows = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1), jobs=0)
    assert [row['arm'] for row in rows] == ['good', 'good', 'bad', 'bad']
    assert [row['last'] for row in rows] == [dict(score=100.)] * 2 + [dict(score=0.)] * 2
    assert all(row['updates'] == 4 and row['images'] == 1 for row in rows)


def test_best_is_selected_on_val_and_measured_on_test(real, tmp_path):
    # lr 0.5: the weight passes val's target 1 on its way to 1.75.
    real['optim_wrapper']['optimizer']['lr'] = 0.5
    toy_student.voc_set(real['test_dataloader']['dataset']['data_root'], [2], 'test')
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [2]))
    row, = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    assert (row['best_step'], row['last_step']) == (2, 4)
    assert row['best'] == dict(score=50.)
    assert row['last'] == dict(score=87.5)


def test_the_full_set_has_its_own_number_of_updates(real, tmp_path):
    row, = evaluate_sets(dict(Full='full'), real, str(tmp_path), seeds=(0, ), jobs=0)
    assert (row['updates'], row['images']) == (6, 3)


def test_finished_runs_are_skipped(real, tmp_path):
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1]))
    first = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1), jobs=0)
    built = len(toy_student.BUILT)
    again = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1), jobs=0)
    assert again == first and len(toy_student.BUILT) == built
    evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1, 2), jobs=0)
    assert len(toy_student.BUILT) > built


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(real, tmp_path):
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1, 2, 3]))
    here = evaluate_sets(sets, real, str(tmp_path / 'here'), seeds=(0, 1), jobs=0)
    there = evaluate_sets(sets, real, str(tmp_path / 'there'), seeds=(0, 1), jobs=2)
    assert numbers(here) == numbers(there)


def test_a_failing_arm_does_not_lose_the_others(real, tmp_path, capsys):
    sets = dict(bad=toy_student.voc_set(tmp_path / 'bad', [13]),
                good=toy_student.voc_set(tmp_path / 'good', [1]))
    with pytest.raises(ValueError, match='1 of 2 runs failed.*arm bad seed 0.*refuses 13.*see '):
        evaluate(real, sets, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    with open(tmp_path / 'work' / 'results.json') as f:
        arms = {row['arm']: row for row in json.load(f)['arms']}
    assert arms['good']['last']['score'] == dict(mean=100., std=0.)
    assert (arms['bad']['runs'], arms['bad']['failed']) == (0, 1)
    out = capsys.readouterr().out
    assert 'good: 1 images, 4 updates of batch 1, SGD lr 1' in out
    assert 'bad seed 0: failed: ' in out
    log = out.split('see ')[1].split(',')[0]
    assert osp.isfile(log) and 'refuses 13' in open(log).read()


@pytest.mark.slow
def test_a_dying_worker_does_not_lose_the_others(real, tmp_path):
    sets = dict(deadly=toy_student.voc_set(tmp_path / 'deadly', [666]),
                good=toy_student.voc_set(tmp_path / 'good', [1]))
    deadly, good = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=1)
    assert 'died twice' in deadly['error'] and good['last'] == dict(score=100.)
