"""Students over sets and seeds: results, resuming, failures, independence of the workers."""
import json
import os.path as osp
from dataclasses import replace

import pytest
import toy_student

from mmdd.apis import evaluate
from mmdd.datasets.subset import HeldOut
from mmdd.datasets.views import leaf_dataset
from mmdd.protocols import evaluate_sets
from mmdd.protocols.lr_search import search_protocol
from mmdd.protocols.protocol import read_protocol, student_config
from mmdd.protocols.student import missing_random, pick_rates


@pytest.fixture
def real(tmp_path):
    return toy_student.protocol(tmp_path / 'real')


def numbers(rows):
    return [replace(row, seconds=0., total_seconds=None) for row in rows]


def test_a_perfect_set_gives_the_perfect_score(real, tmp_path):
    sets = dict(good=toy_student.voc_set(tmp_path / 'good', [1]),
                bad=toy_student.voc_set(tmp_path / 'bad', [2]))
    rows = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1), jobs=0)
    assert [row.method for row in rows] == ['good', 'good', 'bad', 'bad']
    assert [row.last for row in rows] == [dict(score=100.)] * 2 + [dict(score=0.)] * 2
    assert all(row.updates == 4 and row.images == 1 for row in rows)


def test_best_is_selected_on_val_and_measured_on_test(real, tmp_path):
    # lr 0.5: the weight passes val's target 1 on its way to 1.75.
    real['optim_wrapper']['optimizer']['lr'] = 0.5
    toy_student.voc_set(real['test_dataloader']['dataset']['data_root'], [2], 'test')
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [2]))
    row, = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    assert (row.best_step, row.last_step) == (2, 4)
    assert row.best == dict(score=50.)
    assert row.last == dict(score=87.5)


def test_both_checkpoints_are_tested_in_one_runner(real, tmp_path):
    real['optim_wrapper']['optimizer']['lr'] = 0.5
    toy_student.voc_set(real['test_dataloader']['dataset']['data_root'], [2], 'test')
    sets, built = dict(a=toy_student.voc_set(tmp_path / 'a', [2])), len(toy_student.BUILT)
    row, = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    assert row.best_step != row.last_step
    # checked, trained, tested
    assert len(toy_student.BUILT) - built == 3


def test_an_average_of_weights_is_what_is_tested(real, tmp_path):
    """Weights 1, 1.5, 1.75, 1.875; the average after 2 updates is 1.25, after 4 it is 1.6875."""
    real['optim_wrapper']['optimizer']['lr'] = 0.5
    real['custom_hooks'] = [dict(type='EMAHook', ema_type='ExponentialMovingAverage',
                                 momentum=0.5)]
    toy_student.voc_set(real['test_dataloader']['dataset']['data_root'], [2], 'test')
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [2]))
    row, = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    assert (row.best_step, row.last_step) == (2, 4)
    assert (row.best, row.last) == (dict(score=25.), dict(score=68.75))


def test_test_metrics_reach_the_visualizer(real, tmp_path):
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1]))
    row, = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    files = tmp_path.glob('work/runs/*/test/*/vis_data/scalars.json')
    lines = {line for file in files for line in file.read_text().splitlines()}
    assert {json.loads(line)['step']: json.loads(line)['test/toy/score'] for line in lines} == {
        row.last_step: 1., row.best_step: 1.}


def test_the_full_set_has_its_own_number_of_updates(real, tmp_path):
    row, = evaluate_sets(dict(Full='full'), real, str(tmp_path), seeds=(0, ), jobs=0)
    assert (row.updates, row.images) == (6, 3)


def test_finished_runs_are_skipped(real, tmp_path):
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1]))
    first = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1), jobs=0)
    built = len(toy_student.BUILT)
    again = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1), jobs=0)
    assert again == first and len(toy_student.BUILT) == built
    evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, 1, 2), jobs=0)
    assert len(toy_student.BUILT) > built


def test_several_sets_of_a_method(real, tmp_path):
    """Every set gets a student per seed."""
    folders = [toy_student.voc_set(tmp_path / f'a{k}', [k]) for k in (1, 2)]
    rows = evaluate_sets(dict(a=folders), real, str(tmp_path / 'work'), seeds=(0, 1), jobs=0)
    assert [(row.set, row.seed, row.last['score']) for row in rows] == [
        (folders[0], 0, 100.), (folders[0], 1, 100.), (folders[1], 0, 0.), (folders[1], 1, 0.)]
    assert len({row.key for row in rows}) == 4
    with pytest.raises(ValueError, match='method a: a folder is twice'):
        evaluate_sets(dict(a=[folders[0]] * 2), real, str(tmp_path), jobs=0)
    with pytest.raises(ValueError, match='method a: no folder'):
        evaluate_sets(dict(a=[]), real, str(tmp_path), jobs=0)


def test_best_on_the_test_split(real, tmp_path):
    """lr 0.5: the weight is 1.5 after 2 updates and 1.875 after 4; the test target is 1."""
    real['optim_wrapper']['optimizer']['lr'] = 0.5
    real['protocol']['select'] = 'test'
    toy_student.voc_set(real['test_dataloader']['dataset']['data_root'], [1], 'test')
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [2]))
    row, = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    assert (row.best, row.last) == (dict(score=50.), dict(score=12.5))
    assert row.select == 'test' and row.num_classes == 2


def manifest(folder, method, images):
    with open(osp.join(folder, 'manifest.json'), 'w') as f:
        json.dump(dict(method=method, budget=f'Total(n={images})'), f)
    return folder


def test_a_random_baseline_of_each_size_is_asked_for(real, tmp_path):
    sets = dict(
        a=toy_student.voc_set(tmp_path / 'a', [1, 2]), b=toy_student.voc_set(tmp_path / 'b', [1]),
        c=manifest(toy_student.voc_set(tmp_path / 'c', [3]), 'RandomCoreset', 1), Full='full')
    assert missing_random(sets, real) == dict(a=2)
    with pytest.raises(ValueError, match='no baseline of random real images beside a .2 images.'):
        evaluate_sets(sets, real, str(tmp_path / 'w'), require_random=True, jobs=0)
    manifest(sets['a'], 'UniDD', 2)
    assert missing_random(sets, real) == dict(a=2)
    del sets['c']
    assert missing_random(sets, real) == dict(a=2, b=1)


def test_a_rate_for_each_method_is_picked_on_the_validation_split(real, tmp_path):
    """One update from 0 with lr r makes the weight r times the target; val asks for 1."""
    real['train_cfg'].update(max_iters=1, val_interval=1)
    real['default_hooks']['checkpoint']['interval'] = 1
    real['protocol']['full'] = {}
    toy_student.voc_set(tmp_path / 'real', [4], 'test')
    sets = dict(one=toy_student.voc_set(tmp_path / 'one', [1]),
                two=toy_student.voc_set(tmp_path / 'two', [2]))
    one, two = evaluate_sets(sets, real, str(tmp_path / 'w'), (0, ), 0, lr_grid=(0.25, 0.5, 1.))
    # On the test split, 4, the larger rate would have been better for both.
    assert (one.lr, two.lr) == (1., 0.5)
    assert one.last == dict(score=-200.)  # 1 - |1 - 4|


def test_a_rate_is_picked_on_held_out_images_where_there_is_no_validation(real, tmp_path, capsys):
    """Every tenth real image; 'full' does not train on them then."""
    toy_student.voc_set(tmp_path / 'real', [4] + [9] * 9, 'train')
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg'):
        real[key] = None
    real['default_hooks']['checkpoint'].pop('save_best')
    real['train_cfg'].update(max_iters=1, val_interval=1)
    real['default_hooks']['checkpoint']['interval'] = 1
    real['protocol']['full'] = {}
    sets = dict(eight=toy_student.voc_set(tmp_path / 'a', [8]), Full='full')
    rates = pick_rates(sets, real, str(tmp_path / 'w'), (0, ), 0, (4 / 9, 0.5, 1.))
    assert rates == dict(eight=0.5, Full=4 / 9)
    assert 'picked by score on a held-out 10 % of the real training set' in capsys.readouterr().out
    toy_student.voc_set(tmp_path / 'a', [13])
    assert pick_rates(dict(a=str(tmp_path / 'a')), real, str(tmp_path / 'w'), (0, ), 0,
                      (0.5, )) == dict(a=None)


@pytest.mark.parametrize('repeats', [1, 3])
def test_the_held_out_images_are_never_trained_on(real, repeats):
    train = real['train_dataloader']
    if repeats > 1:
        train['dataset'] = dict(type='RepeatDataset', times=repeats, dataset=train['dataset'])
    real['val_dataloader'] = None
    cfg, _ = search_protocol(read_protocol(real))
    rest = student_config(cfg, 'full', 0).train_dataloader.dataset
    assert (rest.type == 'RepeatDataset') == (repeats > 1)
    assert leaf_dataset(rest) == leaf_dataset(train['dataset'])
    inner = rest.dataset if repeats > 1 else rest
    assert (inner.type, inner.held, inner.dataset) == ('mmdd.HeldOut', False, leaf_dataset(rest))
    held = cfg.test_dataloader.dataset
    assert (held.type, held.held) == ('mmdd.HeldOut', True)
    every = [HeldOut(leaf_dataset(rest), held=side, every=2).indices for side in (True, False)]
    assert every == [[0, 2], [1]]


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(real, tmp_path):
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1, 2, 3]))
    here = evaluate_sets(sets, real, str(tmp_path / 'here'), seeds=(0, 1), jobs=0)
    there = evaluate_sets(sets, real, str(tmp_path / 'there'), seeds=(0, 1), jobs=2)
    assert numbers(here) == numbers(there)


def test_a_failing_method_does_not_lose_the_others(real, tmp_path, capsys):
    sets = dict(bad=toy_student.voc_set(tmp_path / 'bad', [13]),
                good=toy_student.voc_set(tmp_path / 'good', [1]))
    with pytest.raises(ValueError, match='1 of 2 runs failed.*bad seed 0.*refuses 13.*see '):
        evaluate(real, sets, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    with open(tmp_path / 'work' / 'results.json') as f:
        methods = {row['method']: row for row in json.load(f)['methods']}
    assert methods['good']['last']['score'] == dict(mean=100., std=None)
    assert (methods['bad']['runs'], methods['bad']['failed']) == (0, 1)
    out = capsys.readouterr().out
    assert 'optimizer: SGD lr 1\n' in out and 'length: 4 updates\n' in out
    assert 'good: 1 images, 4 updates, ' in out
    assert 'bad seed 0: failed: ' in out
    log = out.split('see ')[1].split(',')[0]
    assert osp.isfile(log) and 'refuses 13' in open(log).read()


@pytest.mark.slow
def test_a_dying_worker_does_not_lose_the_others(real, tmp_path):
    sets = dict(deadly=toy_student.voc_set(tmp_path / 'deadly', [666]),
                good=toy_student.voc_set(tmp_path / 'good', [1]))
    deadly, good = evaluate_sets(sets, real, str(tmp_path / 'work'), seeds=(0, ), jobs=1)
    assert deadly.error == 'its worker process died with exit code 9 (out of memory?)'
    assert good.last == dict(score=100.)
