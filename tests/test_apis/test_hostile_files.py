"""Hostile checkpoints at every place where a job takes one."""
import copy
import os
import os.path as osp
import runpy
import shutil
import sys

import pytest
import soft_sets
import tiny
import torch
import toy_student
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import find_latest_checkpoint

from mmdd.apis import distill, train
from mmdd.datasets.checks import open_real_set
from mmdd.engine.prepare import prepare
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models import BackboneFeatures, ClassifierProxy, FineTuned
from mmdd.models.students.teacher import Teacher
from mmdd.protocols.student import plan_runs
from mmdd.protocols.teacher import ensure_teacher
from mmdd.protocols.training import train_student
from mmdd.utils.config import fingerprint


@pytest.fixture
def toy(tmp_path):
    """Training config of the toy student."""
    for split, targets in (('train', [3]), ('val', [1]), ('test', [1])):
        toy_student.voc_set(tmp_path / 'real', targets, split)
    return toy_student.training(tmp_path / 'real')


@pytest.mark.parametrize('part', ['proxy', 'judge'])
def test_networks_of_a_distillation(digits, hostile, part):
    path = hostile.checkpoint()
    job = tiny.classification_job(digits)
    job['model'][part] = dict(type='ClassifierProxy', cfg=tiny.classifier_job(digits),
                              checkpoint=path)
    hostile.check_refused(path, distill, job, str(hostile.folder / 'work'))
    assert not (hostile.folder / 'work' / 'distilled').exists()


@pytest.mark.parametrize('shards', [None, 6])
def test_fine_tuned_weights(digits, hostile, shards):
    path = hostile.checkpoint()
    if shards:
        hostile.checkpoint('hostile_0-5.pth')
    tuned = dict(type='FineTuned', checkpoint=path, cfg=tiny.fine_tune_job(digits),
                 classes_per_shard=shards)
    hostile.check_refused(path[:-4], distill, tiny.minimax_job(digits, fine_tune=tuned),
                          str(hostile.folder / 'work'))
    hostile.check_refused(path, FineTuned(tuned['cfg'], path).read, 0)


def test_networks_by_themselves(digits, hostile):
    path = hostile.checkpoint()
    for kind in (ClassifierProxy, Teacher, BackboneFeatures):
        hostile.check_refused(path, kind, tiny.classifier_job(digits), path)


def test_a_checkpoint_to_prepare(toy, hostile):
    path, config = hostile.checkpoint(), str(hostile.folder / 'toy.py')
    Config(toy).dump(config)
    hostile.check_refused(path, prepare, dict(prepare=[dict(
        type='mmdd.TrainedCheckpoint', config=config, checkpoint=path)]))


def test_a_teacher(digits, hostile):
    path = hostile.checkpoint()
    protocol = soft_sets.parts(digits, 'rded_soft', epochs=1, teacher=dict(
        cfg=tiny.classifier_job(digits), checkpoint=path))
    hostile.check_refused(path, ensure_teacher, protocol, str(hostile.folder))


def test_the_last_checkpoint_of_a_training(toy, hostile):
    folder = hostile.folder / 'toy_train'
    path = hostile.checkpoint('toy_train/iter_2.pth')
    (folder / 'last_checkpoint').write_text(path)
    (folder / 'fingerprint.txt').write_text(fingerprint(toy))
    hostile.check_refused(path, ensure_checkpoint, toy, str(hostile.folder / 'toy.pth'))
    assert not (hostile.folder / 'toy.pth').exists()


def test_the_state_of_a_student(hostile):
    protocol = toy_student.protocol(hostile.folder / 'real')
    run, = plan_runs(dict(a=toy_student.voc_set(hostile.folder / 'a', [1])), protocol,
                     str(hostile.folder / 'work'), [0])
    path = hostile.checkpoint(osp.relpath(run.resume_file, hostile.folder))
    assert path == run.resume_file
    hostile.check_refused(path, train_student, run)


@pytest.mark.parametrize('resume', [False, True])
def test_a_checkpoint_to_start_from(toy, hostile, resume):
    path = hostile.checkpoint()
    hostile.check_refused(path, train, dict(toy, load_from=path), str(hostile.folder / 'w'),
                          resume=path if resume else False)


@pytest.mark.parametrize('prefix', [{}, dict(prefix='backbone.')])
def test_weights_that_a_network_begins_with(hostile, prefix):
    path = hostile.checkpoint()
    model = tiny.classifier()
    model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=path, **prefix)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(model)
    hostile.check_refused(path, network.init_weights)


def test_a_config_text_in_a_checkpoint_is_not_run(toy, hostile):
    """A Runner that resumes would run what stands in ``meta.config``."""
    train(copy.deepcopy(toy), str(hostile.folder / 'work'))
    path = find_latest_checkpoint(str(hostile.folder / 'work'))
    content = torch.load(path, weights_only=False)
    text = f'import os\nos.system("touch {hostile.marker}")\n'
    content['meta'].update(config=text, cfg=text)
    torch.save(content, path)
    toy['train_cfg']['max_iters'] = 6
    assert train(toy, str(hostile.folder / 'work'), resume=True).iter == 6
    assert not hostile.marker.exists()


def test_a_release_of_cifar(hostile, monkeypatch):
    path = hostile.pickle('batches.meta')
    tool = osp.join(osp.dirname(__file__), '../../tools/dataset_converters/cifar.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(hostile.folder), str(hostile.folder / 'out')])
    hostile.check_refused(path, runpy.run_path, tool, run_name='__main__')


def test_the_stock_class_of_cifar_reads_known_files_alone(hostile):
    """It unpickles by itself, after it has compared checksums."""
    from mmpretrain.datasets import CIFAR10
    folder = hostile.folder / 'cifar-10-batches-py'
    folder.mkdir()
    source = hostile.pickle()
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        shutil.copyfile(source, folder / name)
    with pytest.raises(RuntimeError, match='Cannot find CIFAR10 dataset'):
        CIFAR10(data_root=str(hostile.folder), download=False)
    assert not hostile.marker.exists()


def test_annotations_in_a_pickle(digits, hostile):
    os.rename(hostile.pickle(), hostile.folder / 'list.pkl')
    dataset = dict(tiny.class_folders(digits), ann_file=str(hostile.folder / 'list.pkl'))
    with pytest.raises(ValueError, match=r'list.pkl: annotations in a pickle are not read'):
        open_real_set(dataset)
    assert not hostile.marker.exists()
