"""The benchmark: methods and groups, sets and students, resuming, failures, files."""
import json
import os
import os.path as osp

import pytest
import tiny
import toy_student
import yaml
from mmengine.config import Config
from run_tool import ROOT, run

from mmdd.benchmark.jobs import JobGraph
from mmdd.benchmark.methods import budget_text, config_title
from mmdd.benchmark.random_baseline import is_random, same_budget
from mmdd.benchmark.report.paper_values import paper_values
from mmdd.benchmark.results import MethodResult, Results
from mmdd.benchmark.run import _paper, make_plan
from mmdd.benchmark.suite import Group, group_methods, read_suite
from mmdd.datasets.digit_scenes import CLASSES
from mmdd.engine.worker_jobs import distill_job
from mmdd.utils.jobs import run_jobs
from mmdd.utils.mean_std import MeanStd


@pytest.fixture
def protocol(tmp_path):
    """A toy protocol that knows the classes of the digit scenes; a file."""
    cfg = toy_student.protocol(tmp_path / 'real')
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader']['dataset']['metainfo'] = dict(classes=CLASSES)
    path = tmp_path / 'toy_protocol.py'
    Config(cfg).dump(str(path))
    return str(path)


@pytest.fixture
def config(tmp_path, digits, protocol):
    """Write the config of a tiny coreset job; returns its path."""
    def write(name, model='UniformCoreset', total=4, **more):
        model = model if isinstance(model, dict) else dict(type=model)
        cfg = dict(tiny.coreset_job(digits, model, total),
                   evaluation=dict(protocol=protocol), **more)
        folder = tmp_path / 'configs'
        folder.mkdir(exist_ok=True)
        Config(cfg).dump(str(folder / f'{name}.py'))
        return str(folder / f'{name}.py')
    return write


def stamps(folder):
    """Time of change of every file of sets and students."""
    return {path: os.stat(path).st_mtime_ns for base, _, names in os.walk(folder)
            for path in (osp.join(base, name) for name in names)
            if 'distilled' in path or 'runs' in path}


def go(tmp_path, *argv):
    return run('benchmark.py', *argv, '--work-dir', tmp_path / 'w', '--jobs', 0)


def results_of(tmp_path):
    return Results.read(str(tmp_path / 'w' / 'results.json'))


def test_resuming(tmp_path, config, capsys):
    """Two sets with a student each and the full set; then once more."""
    argv = [f'Random={config("two", "RandomCoreset", total=2)}', '--sets', 2, '--seeds', 0,
            '--full', '--full-seeds', 5]
    assert go(tmp_path, *argv, '--dry-run') is None
    said = capsys.readouterr().out
    assert 'Random: 0 of 2 sets are finished; 2 images' in said
    assert '0 of 3 students are trained' in said
    assert not osp.exists(tmp_path / 'w')
    assert go(tmp_path, *argv) is None
    group, = results_of(tmp_path).groups
    assert [(method.name, method.added) for method in group.methods] == [
        ('Random', False), ('Full', False)]
    assert [(name, row.first.images, row.first.updates, len(row.finished))
            for name, row in group.students[0].methods.items()] == [
        ('Random', 2, 4, 2), ('Full', 3, 6, 1)]
    assert sorted(os.listdir(tmp_path / 'w' / 'random')) == ['seed0', 'seed1']
    assert '| 4 | 2 × 1 |' in (tmp_path / 'w' / 'results.md').read_text()
    before, built = stamps(tmp_path / 'w'), len(toy_student.BUILT)
    assert len(before) > 12
    capsys.readouterr()
    assert go(tmp_path, *argv) is None
    assert '2 of 2 sets are finished already' in capsys.readouterr().out
    assert stamps(tmp_path / 'w') == before and len(toy_student.BUILT) == built
    go(tmp_path, *argv, '--dry-run')
    assert '3 of 3 students are trained' in capsys.readouterr().out


def test_a_failed_method_does_not_end_the_others(tmp_path, config, capsys):
    bad = config('bad', model='NoCoreset')
    error = go(tmp_path, f'Bad={bad}', f'Uniform={config("good")}', '--seeds', 0)
    assert error.startswith('error: ') and '\n' not in error
    assert "Bad seed 0: model: there is no component 'NoCoreset'" in error
    group, = results_of(tmp_path).groups
    methods = {method.name: method for method in group.methods}
    assert methods['Bad'].sets[0].facts is None
    assert [name for name, method in methods.items() if method.added] == ['Random']
    rows = group.students[0].methods
    assert len(rows['Uniform'].finished) == 1 and 'Bad' not in rows
    assert '| Bad | 4 images | - |' in (tmp_path / 'w' / 'results.md').read_text()
    assert 'Bad seed 0' in (tmp_path / 'w' / 'report.html').read_text()


def test_the_folder_of_another_config_is_refused(tmp_path, config, capsys):
    plan = make_plan(dict(A=config('a', model='RandomCoreset')), str(tmp_path), 1)
    (_, (job, )), = plan
    assert not job.done
    os.makedirs(osp.join(job.folder, '_job/attempts'))
    with open(osp.join(job.folder, '_job', 'job.json'), 'w') as f:
        json.dump(dict(job.description, model='other', fingerprint='x'), f)
    with open(osp.join(job.folder, '_job/attempts/000000_r0.json'), 'w') as f:
        f.write('{}')
    JobGraph(plan, str(tmp_path / 'students'), [0], workers=0).run()
    assert 'holds a distilled set of another config (other model)' in job.error
    assert os.listdir(job.folder) == ['_job'] and 'finished' not in capsys.readouterr().out


def test_options_reach_the_methods_that_have_the_part(tmp_path, config, capsys):
    """Weights of the diffusion are given once for a suite that has coresets beside it."""
    drawn = config('drawn', dict(type='UniDD', diffusion=dict(type='StableDiffusion')))
    methods = dict(Random=config('copied', 'RandomCoreset'), UniDD=drawn,
                Own=dict(config=drawn, cfg_options={'model.diffusion.steps': 9}))
    group, = group_methods(methods, {'model.diffusion.steps': 3, 'model.seed': 5})
    assert [method.cfg.model.get('diffusion', {}).get('steps')
            for method in group.methods] == [None, 3, 3]
    assert [method.cfg.model.seed for method in group.methods] == [5] * 3
    assert [method.options for method in group.methods][0] == {'model.seed': 5}
    said = capsys.readouterr().out
    assert said == ('Random: model.diffusion.steps is left out, its method has no '
                    'model.diffusion\n')


@pytest.mark.parametrize('key', ['model.prompter.backend.api_key', 'model.prompter.token'])
def test_no_key_is_written_into_results(tmp_path, config, key):
    error = go(tmp_path, f'A={config("a")}', '--cfg-options', f'{key}=sk-secret')
    assert f'{key} would be written into the results' in error and 'sk-secret' not in error
    assert not osp.exists(tmp_path / 'w')


def test_methods_with_other_prompts_are_other_sets(tmp_path, config):
    model = dict(type='UniDD', diffusion=dict(type='StableDiffusion'))
    refined = dict(model, refiners=[dict(type='ProxyRefiner', threshold=0.5)])
    methods = {name: dict(config=config(name, more), cfg_options=options)
               for name, more, options in (
        ('auto', model, {}), ('auto-refined', refined, {}),
        ('hand', model, {'model.prompt_file': 'mine.jsonl'}),
        ('hand-refined', refined, {'model.prompt_file': 'mine.jsonl'}))}
    (_, jobs), = make_plan(methods, str(tmp_path), 1)
    jobs = {job.method.name: job for job in jobs}
    assert len({job.work_dir for job in jobs.values()}) == len(jobs)
    assert jobs['auto-refined'].base is jobs['auto']
    assert jobs['hand-refined'].base is jobs['hand']


def test_a_method_that_does_not_fit_its_protocol_stops_everything(tmp_path, config):
    bad = config('bad')
    with open(bad, 'a') as f:
        f.write("train_cfg['writer'] = dict(type='COCOWriter')\n")
    error = go(tmp_path, f'Good={config("good")}', f'Bad={bad}')
    assert 'Bad: COCOWriter writes COCO layout' in error and 'take VOCWriter' in error
    assert not osp.exists(tmp_path / 'w')


def test_equal_sets_are_made_once(tmp_path, config, protocol):
    """Two protocols, hence two groups, on one set."""
    other = tmp_path / 'other_protocol.py'
    other.write_text(f'_base_ = {protocol!r}\ntrain_cfg = dict(max_iters=2)\n')
    same, again = (config(name, model='RandomCoreset') for name in ('same', 'again'))
    with open(again, 'a') as f:
        f.write(f'evaluation["protocol"] = {str(other)!r}\n')
    plan = make_plan({config_title(path): path for path in (same, again)}, str(tmp_path), 2)
    assert [group.name for group, _ in plan] == ['Detection: real', 'Detection: real (protocol 2)']
    assert [method.name for group, _ in plan for method in group.methods] == [
        'configs_same', 'configs_again']
    (_, ones), (_, twos) = plan
    assert [job.work_dir for job in ones] == [job.work_dir for job in twos] == [
        osp.join(tmp_path, 'configs-same', f'seed{seed}') for seed in (0, 1)]


def test_a_method_that_no_seed_changes_has_one_set(tmp_path, config):
    fixed = dict(type='KCenterCoreset', proxy=dict(type='NoProxy'))
    methods = {name: config(name.lower(), model) for name, model in (
        ('Centers', fixed), ('Started', dict(fixed, start='random')),
        ('Herding', dict(fixed, type='HerdingCoreset')), ('Random', 'RandomCoreset'),
        ('Staged', dict(fixed, set_stages=[dict(type='Stage')])))}
    (group, jobs), = make_plan(methods, str(tmp_path), 3)
    seeds = {method.name: [job.seed for job in jobs if job.method is method]
             for method in group.methods}
    assert seeds == dict(Centers=[0], Herding=[0], Started=[0, 1, 2], Random=[0, 1, 2],
                         Staged=[0, 1, 2])


def test_students_and_papers_values(tmp_path, config, protocol):
    path = config('method', model='RandomCoreset', total=2)
    half = tmp_path / 'half.py'
    half.write_text(f'_base_ = {protocol!r}\ntrain_cfg = dict(max_iters=2)\n')
    with open(path, 'a') as f:
        f.write(f'evaluation["students"] = dict(Toy={protocol!r}, Half={str(half)!r})\n')
    metafile = dict(
        Collections=[dict(Name='Random', Paper=dict(Title='A <b>paper', URL='x'))],
        Models=[{'Name': 'random_baseline', 'In Collection': 'Random',
                 'Config': 'configs/method.py',
                 'Results': [dict(Metrics=dict(Score=50, score_std=0.5))]}])
    (tmp_path / 'configs' / 'metafile.yml').write_text(yaml.safe_dump(metafile))
    assert go(tmp_path, path, '--seeds', 0, '--students', 'all') is None
    group, = results_of(tmp_path).groups
    assert [(student.name, student.runs[0].updates) for student in group.students] == [
        ('Toy', 4), ('Half', 2)]
    method = next(method for method in group.methods if method.name == 'random_baseline')
    assert method.paper == dict(Toy=dict(score=MeanStd(50., .5)), Half={})
    report = (tmp_path / 'w' / 'report.html').read_text()
    assert 'A &lt;b&gt;paper' in report and '<b>paper' not in report
    error = go(tmp_path, path, '--students', 'Nobody')
    assert ("no student 'Nobody' in evaluation.students or the protocols of the suite (Toy, Half)"
            in error)


def test_a_suite(tmp_path, config):
    """Lists of budgets, sweeps and random baselines of a suite file."""
    suite = dict(title='Toys', seeds=[3], groups={
        'First': dict(
            methods={'Uniform': [config('two', total=2), config('three', total=3)],
                  'Paced': dict(sweep=dict(label='pace'), config=config('swept', sweep=dict(
                      key='model.feature_size', values=[8, 16]))),
                  'Given': dict(sweep=dict(label='n', configs={
                      2: config('g2', total=2), 5: config('g5', total=5)}))},
            ablation=['Given@2', 'Uniform, 3 images'], paper=dict(Random=dict(score='7 ± 1')))})
    path = tmp_path / 'toys.yml'
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    content = read_suite(str(path))
    assert (content['title'], content['seeds']) == ('Toys', [3])
    (group, jobs), = make_plan(content['groups'], str(tmp_path / 'w'), 1)
    assert [(method.name, method.curve, method.added) for method in group.methods] == [
        ('Random, 2 images', 'Random', True), ('Random, 3 images', 'Random', True),
        ('Random, 4 images', 'Random', True), ('Random, 5 images', 'Random', True),
        ('Uniform, 2 images', 'Uniform', False), ('Uniform, 3 images', 'Uniform', False),
        ('Paced@8', 'Paced', False), ('Paced@16', 'Paced', False),
        ('Given@2', 'Given', False), ('Given@5', 'Given', False)]
    assert [method.sweep for method in group.methods[-4:]] == [
        dict(base='Paced', label='pace', value=8), dict(base='Paced', label='pace', value=16),
        dict(base='Given', label='n', value=2), dict(base='Given', label='n', value=5)]
    assert jobs[6].options == {'model.feature_size': 8, 'model.seed': 0}
    # the same set by another name is not made twice
    assert jobs[8].work_dir == jobs[4].work_dir == osp.join(
        tmp_path, 'w', 'first', 'uniform-2-images', 'seed0')
    twin = group.methods[0].cfg
    assert twin.model == dict(type='RandomCoreset')
    assert twin.train_cfg.budget == dict(type='Total', n=2)
    for key in ('train_dataloader', 'evaluation'):
        assert twin[key] == group.methods[4].cfg[key]


def test_what_groups_of_a_suite_share(tmp_path, config, protocol, capsys):
    """Options and protocols of a group; a dry run with the time that the suite states."""
    half = tmp_path / 'half.py'
    half.write_text(f'_base_ = {protocol!r}\ntrain_cfg = dict(max_iters=2)\n')
    path = config('a', model='RandomCoreset')
    suite = dict(
        students='all', seeds=[0, 1], full=True, full_seeds=[0], seconds=dict(set=30, student=60),
        protocols=dict(whole=protocol, half=str(half)),
        groups={name: dict(cfg_options={'train_cfg.budget.n': count}, methods=dict(
            A=path, B=dict(config=path, cfg_options={'train_cfg.budget.n': 3})))
            for name, count in (('One', 1), ('Two', 2))})
    file = tmp_path / 'shared.yml'
    file.write_text(yaml.safe_dump(suite, sort_keys=False))
    groups = read_suite(str(file))['groups']
    assert [[method.cfg.train_cfg.budget.n for method in group.methods] for group in groups] == [
        [1, 3], [2, 3]]
    assert [list(group.students('all')) for group in groups] == [['whole', 'half']] * 2
    assert list(groups[0].students('default')) == ['whole']
    assert list(groups[0].students('half')) == ['whole', 'half']  # as a suite may say it
    assert run('benchmark.py', '--suite', file, '--work-dir', tmp_path / 'w', '--jobs', 2,
               '--dry-run') is None
    said = capsys.readouterr().out
    # the full real set is trained on once, in the first group
    assert 'One: 0 of 4 students (half) are trained' in said  # its full set has the same updates
    assert 'Two: 0 of 4 students (half) are trained' in said
    assert 'One: 2 sets of 30 s, 2 at once and 9 students of 60 s, 2 at once: about 5 min' in said
    assert 'together: about 10 min' in said
    assert go(tmp_path, '--suite', file) is None
    one, two = results_of(tmp_path).groups
    assert [student.name for student in one.students] == ['whole', 'half']
    assert [row.first.updates for row in one.students[1].methods.values()] == [2, 2, 6]
    assert '| A | 1 images | ' in (tmp_path / 'w' / 'results.md').read_text()
    capsys.readouterr()
    go(tmp_path, '--suite', file, '--dry-run')
    said = capsys.readouterr().out
    assert 'Two: 2 of 2 students (whole) are trained' in said
    assert 'together: about 0 min' in said and 'Two: everything is finished' in said


@pytest.mark.parametrize('change, message', [
    (dict(groups={}), 'a suite needs groups'),
    (dict(gruops={}), "bad.yml: gruops: there is no such setting; did you mean 'groups'?"),
    (dict(seconds=dict(sets=3), groups=dict(A=dict(methods={}))),
     "seconds: sets: there is no such setting; did you mean 'set'?"),
    (dict(groups=dict(A=dict(methods={}))), 'there are no methods'),
    (dict(groups=dict(A=dict(methods=dict(x='nowhere.py')))), 'nowhere.py not found'),
    (dict(groups=dict(A=dict(methods=dict(x=dict(cfg_options={}))))),
     "method 'x' names no config"),
    (dict(groups=dict(A=dict(arms=dict(x='x.py')))), 'arms: is called methods: now; rename'),
    (dict(groups=dict(A=dict(methods=dict(x=dict(
        config='configs/coreset/random_faster-rcnn_digits_5pct.py', sweep=dict(key='a')))))),
     'a sweep needs key and values'),
])
def test_bad_suites(tmp_path, change, message):
    path = tmp_path / 'bad.yml'
    path.write_text(yaml.safe_dump(dict(dict(title='x'), **change)))
    error = go(tmp_path, '--suite', path)
    assert message in error and '\n' not in error


def test_bad_arguments(tmp_path, config):
    path = config('a')
    assert 'give either configs or --suite' in go(tmp_path)
    assert 'methods are given once each' in go(tmp_path, f'A={path}', f'A={path}')
    assert '--sets: must be a whole number, at least 1, got 0' in go(tmp_path, path, '--sets', 0)
    assert 'nowhere' in go(tmp_path, '--suite', 'nowhere')
    clash = group_methods({'a b': path})
    assert clash[0].methods[0].folder == 'a-b'
    assert "two methods have the folder 'a-b'" in go(tmp_path, f'a b={path}', f'a-b={path}')


@pytest.mark.slow
def test_a_distillation_that_kills_its_process(tmp_path, config):
    deadly = config('deadly')
    with open(deadly, 'a') as f:
        f.write('import multiprocessing\nimport os\n'
                'if multiprocessing.parent_process():\n    os._exit(9)\n')
    job = distill_job('Deadly', deadly, str(tmp_path / 'w'), {}, '')
    assert run_jobs([job], 1) == {
        job.name: 'its worker process died with exit code 9 (out of memory?)'}


def test_values_of_a_paper_by_student():
    """A suite has those that no metafile holds, for named students too."""
    group = Group('G', [], paper=dict(Full=dict(top1='87.5 ± 0.5', students=dict(
        Other=dict(top1=86.4)))))
    full = MethodResult('Full', 'Full', 'all')
    assert _paper(full, group, ['top1'], ['', 'Other', 'Third']) == {
        '': dict(top1=MeanStd(87.5, 0.5)), 'Other': dict(top1=MeanStd(86.4, None)), 'Third': {}}


def test_values_of_a_paper_are_those_of_the_budget_of_its_config():
    config = 'configs/minimax/resnetap10_imagewoof_ipc10_difffit.py'
    for n, found in ((10, dict(top1=MeanStd(35.6, 0.9))), (20, {})):
        method = MethodResult('DiffFit', 'DiffFit', f'IPC {n}', config,
                              options={'train_cfg.budget.n': n})
        assert _paper(method, Group('G', []), ['top1'], ['']) == {'': found}
        given = Group('G', [], paper=dict(DiffFit=dict(top1=41.)))
        assert _paper(method, given, ['top1'], ['']) == {'': dict(top1=MeanStd(41., None))}


def test_budgets_in_words():
    assert budget_text(dict(type='mmdd.IPC', n=10)) == 'IPC 10'
    assert budget_text(dict(type='Ratio', percent=0.5)) == '0.5 %'
    assert budget_text(dict(type='Total', n=7)) == '7 images'


SUITES = sorted(name[:-4] for name in os.listdir(osp.join(ROOT, 'configs', 'benchmarks'))
                if name.endswith('.yml'))


def config_files(node):
    """Every config file that a suite names."""
    if isinstance(node, str):
        return [node] if node.endswith('.py') else []
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return [path for part in parts for path in config_files(part)]


@pytest.mark.parametrize('name', SUITES)
def test_configs_of_suites_are_there(name):
    """And the paper's values are where there are some."""
    with open(osp.join(ROOT, 'configs', 'benchmarks', f'{name}.yml')) as f:
        paths = config_files(yaml.safe_load(f))
    assert paths and all(osp.isfile(osp.join(ROOT, path)) for path in paths)
    found = [bool(paper_values(path, ['top1', 'mAP', 'mIoU'])) for path in paths]
    none = {'digits', 'digits_1pct', 'digits_2pct', 'digits_5pct', 'digits_cls',
            'digits_methods', 'digits_plugins', 'digits_coresets', 'photographs',
            'unidd_figure4', 'patch_selection_table7', 'patch_selection_figure6',
            'patch_selection_figure7', 'patch_selection_figure8'}
    some = dict(cifar10_methods=1, unidd_table1=2, d4m_figure6=6, minimax_table2=5,
                minimax_figure4=len(paths) - 1, minimax_figure6=5)
    assert sum(found) == (0 if name in none else some.get(name, len(paths)))


@pytest.mark.parametrize('name', ['cifar10_methods', 'digits', 'digits_cls', 'digits_coresets',
                                  'digits_methods', 'digits_plugins', 'photographs',
                                  'unidd_table6'])
def test_suites_that_come_along(name):
    """Methods agree on protocol and students, and have a random baseline at their budget."""
    suite = read_suite(name)
    for group, jobs in make_plan(suite['groups'], 'w', 1):
        assert len(jobs) == len(group.methods)
        for method in group.methods:
            assert any(is_random(other.cfg) and same_budget(method.cfg, other.cfg)
                       for other in group.methods), method.name
        labels = ['hard labels', 'soft labels']
        assert list(group.students(suite.get('students', 'default'))) == dict(
            cifar10_methods=labels, digits=[''], digits_cls=[''], digits_coresets=[''],
            digits_methods=labels, digits_plugins=[group.name.partition(',')[0].lower()],
            photographs=labels if 'CIFAR' in group.name else [''],
            unidd_table6=['', 'ResNet-50', 'ResNet-101'])[name]
