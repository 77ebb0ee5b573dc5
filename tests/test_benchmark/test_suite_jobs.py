"""The graph of a benchmark: what is made first, what waits for what, what is made once."""
import os
import os.path as osp

import pytest
import tiny
import toy_student
from mmengine.config import Config

from mmdd.benchmark import jobs
from mmdd.benchmark.jobs import JobGraph
from mmdd.benchmark.run import make_plan
from mmdd.benchmark.set_jobs import SetJob, expected_length
from mmdd.benchmark.suite import group_methods
from mmdd.datasets.digit_scenes import CLASSES
from mmdd.engine import worker_jobs
from mmdd.engine.worker_jobs import Preparations
from mmdd.protocols.teacher import planned_teachers
from mmdd.utils.io import sha256


def protocol(folder):
    """A toy protocol that knows the classes of the digit scenes."""
    cfg = toy_student.protocol(folder)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader']['dataset']['metainfo'] = dict(classes=CLASSES)
    return cfg


def suite_of(tmp_path, digits, models, sets=1, student=None, schedule=None,
             **settings):
    """A suite of tiny jobs by name of the method: (model, fields of the config)."""
    real = protocol(tmp_path / 'real')
    real['model'].update(student or {})
    real['protocol'].update(dict(schedule=schedule) if schedule else {})
    methods = {name: Config(dict(
        tiny.coreset_job(digits, model, 2), **dict(more, evaluation=dict(protocol=real))))
        for name, (model, more) in models.items()}
    plan = make_plan(methods, str(tmp_path / 'w'), sets)
    return JobGraph(plan, str(tmp_path / 'w' / 'students'), [0, 1], **settings)


def trained_of(suite):
    """What became of the students of its only group."""
    (group, members), = suite.plan
    return suite.trained(group, members, group.protocol)


def test_a_teacher_is_trained_once_for_all_that_need_it(tmp_path):
    cfg = Config(toy_student.protocol(tmp_path / 'real'))
    cfg.protocol.schedule = dict(teacher=dict(cfg=dict(train_cfg=dict(max_iters=1))))
    found = Preparations(str(tmp_path))
    names = [found.of_checkpoints(planned_teachers(Config(dict(cfg, note=note)), 'w'), [])
             for note in 'ab']
    assert names[0] == names[1] == list(found.jobs) and len(found.jobs) == 1
    assert found.jobs[names[0][0]].target == names[0][0]
    assert osp.basename(names[0][0]).startswith('teacher_')


def test_students_begin_as_soon_as_their_set_is_there(tmp_path, digits):
    """Sets and students in one graph; a failed set takes only its own students along."""
    suite = suite_of(tmp_path, digits, dict(
        Random=(dict(type='RandomCoreset'), {}), Bad=(dict(type='NoCoreset'), {})), workers=0)
    events = []
    suite.run(events.append)
    kinds = {(event.job.label, event.kind) for event in events}
    assert kinds >= {('Random seed 0', 'done'), ('Random student 1', 'done'),
                     ('Bad seed 0', 'failed'), ('Bad student 0', 'left')}
    assert len(events) == 12  # 2 sets, 2 plans, 4 students; four of them begin as well
    (group, members), = suite.plan
    assert [bool(job.error) for job in members] == [False, True]
    assert "there is no component 'NoCoreset'" in members[1].error
    trained = suite.trained(group, members, group.protocol)
    assert [(run.method, run.seed) for run in trained.runs] == [('Random', 0), ('Random', 1)]
    assert trained.errors == {} and trained.failures == []
    again = suite_of(tmp_path, digits, dict(Random=(dict(type='RandomCoreset'), {})), workers=0)
    events.clear()
    again.run(events.append)
    assert [(event.job.label, event.kind) for event in events] == [
        ('Random: students', 'kept'), ('Random student 0', 'kept'), ('Random student 1', 'kept')]


def test_a_network_that_cannot_be_is_told_before_a_student_begins(tmp_path, digits, monkeypatch):
    """It is built once for all sets of a protocol; every method says why it has no students."""
    built, check = [], jobs.check_network
    monkeypatch.setattr(jobs, 'check_network', lambda run: (built.append(run.key), check(run)))
    suite = suite_of(tmp_path, digits, {name: (dict(type=f'{name}Coreset'), {})
                                        for name in ('Random', 'Uniform')},
                     student=dict(start='nowhere'), workers=0)
    events = []
    suite.run(events.append)
    kinds = {(event.job.label, event.kind) for event in events}
    assert kinds >= {('Random seed 0', 'done'), ('Uniform: students', 'failed'),
                     ('Random student 0', 'left'), ('Uniform student 1', 'left')}
    trained = trained_of(suite)
    reason = ('no student can be trained: its network cannot be built (could not '
              "convert string to float: 'nowhere')")
    assert trained.failures == [f'Random: {reason}', f'Uniform: {reason}']
    assert len(built) == 1 and trained.runs == []


def test_no_teacher_is_trained_for_a_network_that_cannot_be(tmp_path, digits, monkeypatch):
    """Its protocol is refused before; one of the same teacher that can be trained has it."""
    monkeypatch.setattr(worker_jobs, 'ensure_checkpoint', lambda *args: (
        tmp_path / 'trained').touch())
    suite = suite_of(tmp_path, digits, dict(Random=(dict(type='RandomCoreset'), {})), workers=0,
                     student=dict(start='nowhere'), schedule=dict(
                         type='OnlineTeacher', teacher=dict(cfg=tiny.classifier_job(digits))))
    events = []
    suite.run(events.append)
    kinds = {(event.job.label, event.kind) for event in events}
    assert kinds >= {('network of the students', 'kept'), ('Random seed 0', 'done'),
                     ('Random: students', 'left'), ('Random student 0', 'left')}
    (teacher, ) = (event.job for event in events
                  if osp.basename(event.job.name).startswith('teacher_'))
    assert not (tmp_path / 'trained').exists()
    reason = 'no student can be trained: its network cannot be built'
    (failure, ) = trained_of(suite).failures
    assert failure.startswith('Random: not run, ') and reason in failure
    mark, = suite.refusals
    suite.pupils[teacher.name].append('another')
    teacher.plan(teacher)  # the other one wants it


def test_a_teacher_without_its_config_is_told_by_every_method(tmp_path, digits):
    suite = suite_of(tmp_path, digits, dict(Random=(dict(type='RandomCoreset'), {})), workers=0,
                     schedule=dict(type='OnlineTeacher', teacher=dict(cfg='/nowhere/teacher.py')))
    suite.run(lambda event: None)
    assert trained_of(suite).failures == [
        'Random: /nowhere/teacher.py not found; tried /nowhere/teacher.py']


def test_sets_with_refiners_come_after_those_they_take_over(tmp_path, digits):
    model = dict(type='UniDD', diffusion=dict(type='StableDiffusion'))
    refined = dict(model, refiners=[dict(type='ProxyRefiner', threshold=0.5)])
    suite = suite_of(tmp_path, digits, dict(
        Random=(dict(type='RandomCoreset'), {}), Refined=(refined, {}), Plain=(model, {})))
    jobs = {job.label: job for job in suite.jobs.values()}
    assert jobs['Refined seed 0'].needs == [jobs['Plain seed 0'].name]
    assert jobs['Refined seed 0'].args[-1]['train_cfg.reuse'] == osp.join(
        jobs['Plain seed 0'].name, 'distilled')
    # longest first, copies last; students behind
    order = sorted(jobs.values(), key=lambda job: job.order)
    labels = [job.label for job in order if job.order]
    assert labels[2] == 'Random seed 0' and 'student' in labels[3]


@pytest.mark.parametrize('more, length', [
    ({}, 2 * 50 * 2), (dict(steps=10), 2 * 10 * 2), (dict(steps=10, cfg_scale=1.), 2 * 10)])
def test_the_length_of_a_set_is_what_its_diffusion_says(tmp_path, digits, more, length):
    suite = suite_of(tmp_path, digits, dict(
        Random=(dict(type='RandomCoreset'), {}),
        Drawn=(dict(type='UniDD', diffusion=dict(type='StableDiffusion', **more)), {})))
    assert [expected_length(job) for _, members in suite.plan for job in members] == [0., length]
    # A tenth of the mean for loading and writing, then scaled so that the mean is 1.
    weights = [0.05 * length, 1.05 * length]
    names = [job.work_dir for _, members in suite.plan for job in members]
    assert [suite.jobs[name].weight for name in names] == pytest.approx(
        [2 * weight / sum(weights) for weight in weights])
    assert {suite.jobs[name].kind for name in names} == {'set of Detection: real'}
    assert {job.weight for job in suite.jobs.values() if job.label.endswith(': students')} == {0.}


def test_a_wrong_config_is_told_before_hours_go_into_weights(tmp_path, digits):
    proxy = dict(type='DetectorProxy', cfg=tiny.detector_job(digits))
    suite = suite_of(tmp_path, digits, dict(
        Random=(dict(type='RandomCoreset'), {}),
        Bad=(dict(type='HerdingCoreset', proxy=proxy, nonsense=1), {})), workers=0)
    (_, members), = suite.plan
    assert 'nonsense' in suite.errors[members[1].work_dir]
    assert members[1].work_dir not in suite.jobs


def test_equal_sets_of_a_method_are_trained_on_once(tmp_path, digits, monkeypatch):
    """The files decide, not the folders."""
    group, = group_methods(dict(A=Config(dict(
        tiny.coreset_job(digits, dict(type='RandomCoreset'), 2),
        evaluation=dict(protocol=toy_student.protocol(tmp_path / 'real'))))))
    members = [SetJob(group.methods[0], seed, str(tmp_path / name), {})
               for seed, name in enumerate('abcd')]
    for job, targets in zip(members, ([1, 2], [1, 2], [2, 3], [1, 2])):
        toy_student.voc_set(job.folder, targets)
    monkeypatch.setattr(SetJob, 'done', True)
    suite = JobGraph([(group, members)], str(tmp_path / 'students'), [0, 1], workers=0)
    suite.run()
    assert suite.errors == {}
    trained = suite.trained(group, members, group.protocol)
    assert [(run.folder, run.seed) for run in trained.runs] == [
        (members[i].folder, seed) for i in (0, 2) for seed in (0, 1)]
    assert trained.repeats == ['A: 4 sets hold 2 different ones; each is trained on once']
    assert len([name for name in os.listdir(tmp_path / 'students' / 'runs')
                if name.endswith('.json')]) == 4


def images(folder):
    return {osp.relpath(osp.join(base, name), folder): sha256(osp.join(base, name))
            for base, _, names in os.walk(folder) for name in names
            if name.endswith(('.jpg', '.png', '.xml', '.txt'))}


@pytest.mark.slow
def test_sets_do_not_depend_on_the_number_of_workers(tmp_path, digits):
    found = []
    for workers in (1, 2):
        quick = dict(custom_imports=dict(imports=['quick_workers'], allow_failed_imports=False))
        suite = suite_of(tmp_path / str(workers), digits, {
            name: (dict(type=f'{name}Coreset'), quick) for name in ('Random', 'Uniform')},
            workers=workers)
        suite.run()
        (group, members), = suite.plan
        assert not any(job.error for job in members)
        rows = suite.trained(group, members, group.protocol).runs
        found.append(([images(job.folder) for job in members],
                      [(run.method, run.seed, run.images) for run in rows]))
    assert found[0] == found[1] and len(found[0][0]) == 2 and len(found[0][1]) == 4
    assert all(len(files) > 4 for files in found[0][0])
