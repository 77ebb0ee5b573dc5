"""Suites of the papers' tables and figures resolve, and have the papers' points and values."""
import copy
import glob
import os
import os.path as osp

import pytest
from config_files import ROOT, job
from paper_configs import config, entries, mean_std, read_yaml

from mmdd.benchmark import methods
from mmdd.benchmark.report.paper_values import paper_values, read_metrics
from mmdd.benchmark.results import MethodResult
from mmdd.benchmark.run import _paper
from mmdd.benchmark.set_jobs import plan_sets
from mmdd.benchmark.suite import Group, read_suite
from mmdd.models.coresets import ScoreCoreset
from mmdd.registry import MODELS
from mmdd.utils.config import merge_options
from mmdd.utils.mean_std import MeanStd

SUITES = sorted(name[:-len('.yml')] for name in os.listdir(osp.join(ROOT, 'configs', 'benchmarks'))
                if name.endswith('.yml'))
MINIMAX, D4M, PATCHES, RDED = (read_yaml(f'tests/test_configs/paper_tables/{name}.yml')
                               for name in ('minimax', 'd4m', 'patch_selection', 'rded'))
READ = {}


@pytest.fixture(autouse=True)
def configs_read_once(monkeypatch):
    """The configs of the repository as other tests read them."""
    def read(path, options=None):
        cfg = copy.deepcopy(job(path))
        merge_options(cfg, options)
        return cfg
    monkeypatch.setattr(methods, 'read_job', read)


def suite(name):
    """A suite that comes along; not to be changed."""
    if name not in READ:
        READ[name] = read_suite(name)
    return READ[name]


def groups(name):
    """Groups of a suite by name."""
    return {group.name: group for group in suite(name)['groups']}


def leaves(group):
    """Config by name of the method."""
    return {method.name: method.config[len('configs/'):-len('.py')] for method in group.methods}


def points(group, base):
    """Values of a sweep by method, and their configs."""
    found = [method for method in group.methods if (method.sweep or {}).get('base') == base]
    return [method.sweep['value'] for method in found], [method.cfg for method in found]


def paper_of(method, student=''):
    """Top-1 of the paper as the report has it beside a method without values in the suite."""
    result = MethodResult(method.name, method.curve, method.budget, method.config_name,
                          options=method.options)
    return _paper(result, Group('', []), ['top1'], ['', student])[student]


@pytest.mark.parametrize('name', SUITES)
def test_every_suite_resolves(name):
    """Its groups share a protocol and know their students; ablations and values name methods."""
    found = suite(name)
    assert found['title']
    for group in found['groups']:
        group.students(found.get('students', 'default'))
        known = {method.name for method in group.methods} | {'Full'}
        assert set(group.paper) <= known


def test_table_1_of_minimax_has_the_rows_of_the_paper():
    group = groups('minimax_table1')['ImageWoof']
    rows = [row for section in ('coresets', 'tables') for table in MINIMAX[section]
            if table['name'] == 'table 1' for row in table['rows']]
    assert set(leaves(group).values()) == {row[0] for row in rows}
    assert list(group.students('all')) == ['', 'ConvNet-6', 'ResNet-18']
    assert [method.budget for method in group.methods[:5]] == [
        f'IPC {n}' for n in MINIMAX['figure6']['ipc']]
    full, wanted = group.paper['Full'], MINIMAX['full']
    for student in wanted:
        given = full if student == 'ResNetAP-10' else full['students'][student]
        value = read_metrics(given, ['top1'])['top1']
        assert (value.mean, value.std) == mean_std(wanted[student])


def test_table_2_of_minimax_measures_features_of_the_trained_resnet_10():
    group = groups('minimax_table2')['ImageWoof']
    assert set(leaves(group)) == {f'{name}, IPC {n}' for name, values in MINIMAX['mmd'].items()
                                  for n in values}
    for method in group.methods:
        hook, (trained, ) = method.cfg.default_hooks.set_metrics, method.cfg.prepare
        assert hook.extractor.cfg == trained.config
        assert hook.extractor.checkpoint == trained.checkpoint
        assert trained.config[0] == 'configs/_base_/models/resnetap10.py'
        assert hook.crop and hook.num_real >= 12454  # every image of fast.ai's or ImageNet's


@pytest.mark.parametrize('number, group, methods', [
    (3, 'ImageNette', ['Random', 'DiT', 'Minimax']), (3, 'ImageIDC', ['Random', 'DiT', 'Minimax']),
    (4, 'ImageNet-1K', ['RDED', 'DiT', 'Minimax'])])
def test_tables_3_and_4_of_minimax(number, group, methods):
    found = groups(f'minimax_table{number}')[group]
    ipcs = [10, 20, 50] if number == 3 else [10, 50]
    assert list(leaves(found)) == [f'{name}, IPC {n}' for name in methods for n in ipcs]


def test_table_5_of_minimax_has_every_criterion():
    wanted = {row[0] for table in MINIMAX['tables'] if table['name'] == 'table 5'
              for row in table['rows']}
    full = {f'minimax/resnetap10_{name}_ipc{n}' for name in ('imagewoof', 'imageidc')
            for n in (10, 50)}
    found = groups('minimax_table5')
    assert {leaf for group in found.values() for leaf in leaves(group).values()} == wanted | full
    for group in found.values():
        assert list(group.ablation) == list(leaves(group)) and group.ablation[-1] == 'Minimax'


@pytest.mark.parametrize('group', ['ImageWoof', 'ImageIDC'])
def test_figure_4_of_minimax_has_every_line_and_budget(group):
    """As the tables' configs at the budgets of the axis, with the values that the tables print."""
    figure, real_set = MINIMAX['figure4'], group.lower()
    stem = f'resnetap10_{real_set}_ipc'
    lines = {'Random': f'coreset/random_{stem}{{}}',
             **{name: f'minimax/{stem}{{}}{end}' for name, end in figure['lines'].items()}}
    found = {(method.curve, method.cfg.train_cfg.budget.n): method
             for method in groups('minimax_figure4')[group].methods}
    assert set(found) == {(name, n) for name in lines for n in figure['ipc']}
    printed = {row[0]: row[3] for section in ('tables', 'coresets') for table in MINIMAX[section]
               for row in table['rows']}
    for (name, n), method in found.items():
        assert method.name == f'{name}, IPC {n}'
        base, leaf = config(lines[name].format(10)), lines[name].format(n)
        assert (method.cfg.model, method.cfg.evaluation) == (base.model, base.evaluation)
        assert paper_of(method) == (dict(top1=MeanStd(*mean_std(printed[leaf])))
                                    if leaf in printed else {})


@pytest.mark.parametrize('name, sweep, read', [
    ('epochs', 'epochs', lambda tuning: tuning.train_cfg.max_epochs),
    ('L_r', 'lambda-r', lambda tuning: tuning.model.lambda_r),
    ('L_d', 'lambda-d', lambda tuning: tuning.model.lambda_d),
    ('memory', 'memory', lambda tuning: tuning.model.memory_size)])
def test_figure_6_of_minimax_has_the_points_of_its_axes(name, sweep, read):
    group, (values, choice) = groups('minimax_figure6')['ImageWoof'], MINIMAX['figure6'][sweep]
    leaf = f'minimax/resnetap10_imagewoof_ipc10_{sweep}-sweep'
    for n in MINIMAX['figure6']['ipc']:
        found, cfgs = points(group, f'{name}, IPC {n}')
        assert found == values and choice in values
        assert [read(cfg.model.fine_tune.cfg[1]) for cfg in cfgs] == values
        assert {cfg.train_cfg.budget.n for cfg in cfgs} == {n}
    assert 'Results' not in entries('minimax')[f'configs/{leaf}.py']
    base = config('minimax/resnetap10_imagewoof_ipc10')
    assert config(leaf).model.fine_tune.cfg[0] == base.model.fine_tune.cfg
    assert config(leaf).evaluation == base.evaluation


@pytest.mark.parametrize('number', [3, 5])
def test_teachers_of_d4m_label_one_set(number):
    """Tables 3 and 5: a group for each teacher, its students those of the columns."""
    found, tables = groups(f'd4m_table{number}'), {
        table['name']: table for table in D4M['tables'] if f'table {number},' in table['name']}
    assert [f'table {number}, t{name[1:]}' for name in found] == list(tables)
    for group, table in zip(found.values(), tables.values()):
        assert list(leaves(group).values()) == [row[0] for row in table['rows']]
        wanted = suite(f'd4m_table{number}')['students']
        assert list(group.students(wanted))[1:] == table['columns'][1:]
    folders = {job.folder for _, jobs in plan_sets(list(found.values()), 'w', 1) for job in jobs}
    assert len(folders) == 1


def test_figure_6_of_d4m_has_every_teacher_and_budget():
    found = groups('d4m_figure6')
    assert [list(leaves(group)) for group in found.values()] == [
        [f'D4M, IPC {n}' for n in (10, 50, 100, 200)]] * 3
    sets = {job.folder for _, jobs in plan_sets(list(found.values()), 'w', 1) for job in jobs}
    assert len(sets) == 4


@pytest.mark.parametrize('number', [1, 2, 4, 5, 8])
def test_tables_of_patch_selection_have_the_rows_of_the_paper(number):
    found, ipc = groups(f'patch_selection_table{number}'), {4: '_ipc50', 8: '_ipc10'}.get(number)
    name = 'tables 4 and 8' if number in (4, 8) else f'table {number}'
    table, = (table for table in PATCHES['tables'] if table['name'] == name)
    rows = {row[0] for row in table['rows'] if (ipc or '') in row[0]}
    named = {leaf for group in found.values() for leaf in leaves(group).values()}
    full = {leaf.rpartition('_')[0] for leaf in rows if leaf.endswith('_clip')}
    assert named == rows | full
    students = suite(f'patch_selection_table{number}').get('students', 'default')
    for group in found.values():
        first, *others = group.students(students)
        assert first == '' and set(others) == set(table['students'][1:])


def test_table_7_of_patch_selection_has_every_range_and_its_value():
    group = groups('patch_selection_table7')['ImageNet-1K, IPC 50']
    found, cfgs = points(group, 'Timesteps')
    assert [(low, high) for low, high in found] == [(row[0], row[1]) for row in PATCHES['table7']]
    assert [list(cfg.model.timestep_range) for cfg in cfgs] == found
    assert group.paper == {f'Timesteps@[{low}, {high}]': dict(top1=value)
                           for low, high, value in PATCHES['table7']}


def test_table_9_of_patch_selection_has_every_size_and_its_value():
    for place, n in enumerate((10, 50, 100), 2):
        group = groups('patch_selection_table9')[f'ImageWoof, IPC {n}']
        sizes = [(method.cfg.model.resize, method.cfg.model.window) for method in group.methods]
        assert sizes == [(row[0], row[1]) for row in PATCHES['table9']]
        for method, row in zip(group.methods, PATCHES['table9']):
            assert method.config == f'configs/patch_selection/resnet18_imagewoof_ipc{n}.py'
            given = group.paper.get(method.name) or {'top1': paper_values(
                method.config, ['top1'])['top1'].mean}
            assert given == dict(top1=row[place])


@pytest.mark.parametrize('number, base, name', [
    (6, 'Photographs', 'images'), (7, 'DIFT', 'dift'), (8, 'Clusters', 'clusters'),
    (8, 'Top clusters', 'top-clusters')])
def test_figures_of_patch_selection_sweep_one_setting(number, base, name):
    group, = groups(f'patch_selection_figure{number}').values()
    (key, choice), (found, cfgs) = PATCHES['sweeps'][name], points(group, base)
    assert choice in found and sorted(found) == found and len(found) >= 5
    assert [cfg.model[key] for cfg in cfgs] == found
    leaf = cfgs[found.index(choice)]
    plain = config(f'patch_selection/{osp.basename(leaf.filename).partition("_ipc50")[0]}_ipc50')
    # as most defaults, the timestep of the features is the model's
    assert {**leaf.model, key: choice} == {**plain.model, key: choice}
    for cfg in cfgs:
        assert cfg.model.top_clusters <= cfg.model.num_clusters <= cfg.model.num_images


@pytest.mark.parametrize('name, block', [
    ('rded_table2', 'ResNet'), ('rded_table2_convnet', 'ConvNet')])
def test_table_2_of_rded_has_the_rows_of_the_paper(name, block):
    """A group for each set, its students those of the columns, and every printed value."""
    table, = (table for table in RDED['tables'] if table['name'] == f'table 2, {block}')
    rows, columns = {row[0]: row for row in table['rows']}, table['students']
    named = [leaf for group in groups(name).values() for leaf in leaves(group).values()]
    assert len(named) == len(rows) and set(named) == set(rows)
    for group in groups(name).values():
        students = list(group.students(suite(name).get('students', 'default')))
        assert students == ['', *columns[1:]]
        assert list(leaves(group)) == [f'RDED, IPC {n}' for n in (1, 10, 50)]
        for method in group.methods:
            assert [paper_of(method, student)['top1'] for student in students] == [
                MeanStd(*mean_std(value)) for value in rows[leaves(group)[method.name]][3:]]


def test_plugins_stand_beside_the_prior_that_they_change():
    """Every one of images per class, and those that draw beside the same prior and prompts."""
    hard, soft = groups('digits_plugins').values()
    found = {method.config: method for method in hard.methods}
    assert {path for path in found if path.startswith('projects/')} == {
        osp.relpath(path, ROOT) for path in glob.glob(f'{ROOT}/projects/*/*_ipc10.py')
        if 'example_project' not in path}
    plain = {method.cfg.model.diffusion.steps: method.cfg for method in hard.methods
             if method.name.startswith('Prior')}
    drawn = [method.cfg for path, method in found.items()
             if path.startswith('projects/') and method.cfg.model.get('diffusion')]
    assert [cfg.model.diffusion.steps for cfg in drawn] == [12, 12, 12, 50, 50]
    for cfg in drawn:
        prior = plain[cfg.model.diffusion.steps]
        assert cfg.model.prompter == prior.model.prompter
        for key in ('type', 'pretrained', 'cfg_scale'):
            assert cfg.model.diffusion[key] == prior.model.diffusion[key]
    assert [method.name for method in soft.methods] == ['Random', 'SRe2L']
    (_, first), (_, second) = plan_sets([hard, soft], 'w', 1)
    assert {job.folder for job in second} < {job.folder for job in first}


def test_coresets_by_predictions_keep_hard_and_easy_images():
    group, = groups('digits_coresets').values()
    kept = {}
    for method in group.methods:
        if issubclass(MODELS.get(method.cfg.model.type), ScoreCoreset):
            kept.setdefault(method.config, []).append(method.cfg.model.get('keep', 'hard'))
    assert len(kept) == 6 and set(map(tuple, kept.values())) == {('hard', 'easy')}
    leaf = 'coreset/{}_convnet_digits_ipc10'.format
    assert {leaf(name) for name in ('random', 'kcenter', 'herding', 'facility', 'craig')} == {
        name for name in leaves(group).values() if f'configs/{name}.py' not in kept}


def test_budgets_of_a_sweep_share_the_weights_of_a_point():
    group = groups('minimax_figure6')['ImageWoof']
    few = [method for method in group.methods
           if method.name in ('L_d, IPC 10@0.01', 'L_d, IPC 50@0.01', 'L_d, IPC 10@0.008',
                              'L_r, IPC 10@0.002')]
    (_, jobs), = plan_sets([Group(group.name, few)], 'w', 1)
    made = {job.method.name: job.config.model.fine_tune.checkpoint for job in jobs}
    assert all(path.startswith(osp.join('w', 'fine_tuned')) for path in made.values())
    assert made['L_d, IPC 10@0.01'] == made['L_d, IPC 50@0.01'] != made['L_d, IPC 10@0.008']
    # both are the settings of the paper
    assert made['L_r, IPC 10@0.002'] == made['L_d, IPC 10@0.008']
