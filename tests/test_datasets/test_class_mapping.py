"""Teachers of more classes than the set: which logits count, and what is refused."""
import glob
import os
import os.path as osp
import shutil

import numpy as np
import pytest
import soft_sets
import tiny
import torch
from mmengine.registry import DATASETS, DefaultScope

from mmdd.datasets.class_mapping import class_columns
from mmdd.datasets.class_names import class_names, imagenet_indices
from mmdd.datasets.soft_labels import SoftLabelStore
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models.students.label_settings import check_labels
from mmdd.models.students.teacher import Teacher
from mmdd.protocols.protocol import read_protocol, student_config
from mmdd.protocols.training import prepare_student

SUBSET = ('7', '2', '4')


@pytest.mark.parametrize('table', ['tiny_imagenet', 'imagenette', 'imagewoof'])
def test_wordnet_ids_find_the_classes_of_a_subset(table):
    columns = class_columns('wnid', class_names('imagenet'), class_names(table))
    assert columns == imagenet_indices(table)
    names = class_names('imagenet')
    assert all(names[c].split(',')[0] == own for c, own in zip(columns, class_names(table)))


def test_the_two_cranes_of_imagenet_are_kept_apart():
    """Names are not enough: index 134 is a bird, 517 a machine, and Tiny has the machine."""
    imagenet, small = class_names('imagenet'), class_names('tiny_imagenet')
    columns = class_columns('wnid', imagenet, small)
    assert columns[small.index('crane')] == 517
    short = [name.split(',')[0] for name in imagenet]
    assert [i for i, name in enumerate(short) if name == 'crane'] == [134, 517]
    with pytest.raises(ValueError, match='the teacher has several classes crane'):
        class_columns('name', short, ['crane'])


def test_names_and_indices():
    assert class_columns('name', ('a', 'b', 'c'), ('c', 'a')) == (2, 0)
    assert class_columns([2, 0], ('a', 'b', 'c'), ('x', 'y')) == (2, 0)
    assert class_columns([2, 0], None, ('x', 'y')) == (2, 0)


@pytest.mark.parametrize('mapping, teacher, classes, message', [
    ('name', ('a', 'b'), ('a', 'z', 'y'), r'does not know 2 of 3 classes \(z, y\)'),
    ('wnid', ('a', 'b'), ('a', ), 'classes of the teacher are not those of ImageNet-1K'),
    ('wnid', class_names('imagenet'), ('dog', ), 'classes of the set are not those of ImageNet'),
    ('wnid', class_names('imagenette'), class_names('imagewoof'), 'does not know 10 of 10'),
    ('id', ('a', ), ('a', ), "must be 'wnid', 'name' or a list"),
    ('name', None, ('a', ), 'needs the class names of teacher and set'),
    ([0, 0], ('a', 'b'), ('a', 'b'), 'needs 2 different class indices below 2, got 2'),
    ([0, 2], ('a', 'b'), ('a', 'b'), 'needs 2 different class indices below 2'),
    ([0], None, ('a', 'b'), 'needs 2 different class indices, got 1')])
def test_what_is_refused(mapping, teacher, classes, message):
    with pytest.raises(ValueError, match=message):
        class_columns(mapping, teacher, classes)


@pytest.fixture(scope='module')
def teacher(digits, tmp_path_factory):
    job = tiny.classifier_job(digits)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    return dict(cfg=job, checkpoint=ensure_checkpoint(job, str(path)))


@pytest.fixture(scope='module')
def subset(digits, tmp_path_factory):
    """A set of three of the ten digits in class folders, in an order of its own."""
    root = tmp_path_factory.mktemp('subset')
    lines = []
    for label, name in enumerate(SUBSET):
        os.makedirs(root / 'train' / name)
        for path in glob.glob(osp.join(str(digits), 'single', 'train', name, '*.png')):
            shutil.copy(path, root / 'train' / name)
            lines.append(f'{name}/{osp.basename(path)} {label}\n')
    os.makedirs(root / 'meta')
    (root / 'meta' / 'train.txt').write_text(''.join(lines))
    return str(root)


def student(subset, name, teacher, **options):
    parts = soft_sets.parts(subset, name, epochs=1, teacher=teacher, **options)
    for split in ('train', 'val', 'test'):
        parts[0][f'{split}_dataloader']['dataset'].update(
            metainfo=dict(classes=SUBSET), data_prefix='train', ann_file='meta/train.txt')
    parts[0]['model']['head']['num_classes'] = 3
    parts[0]['model']['data_preprocessor']['num_classes'] = 3
    return student_config(read_protocol(parts), subset, 0)


def test_stored_labels_are_the_teachers_logits_of_these_classes(subset, teacher, tmp_path):
    cfg = student(subset, 'fkd_soft', dict(teacher, mapping='name'), batch_size=4)
    cfg = prepare_student(cfg, str(tmp_path))
    store = SoftLabelStore(cfg.train_dataloader.dataset.labels)
    assert store.settings['columns'] == [7, 2, 4] and store.settings['num_classes'] == 3
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    whole = Teacher(**teacher)
    for position, row in enumerate(store.rows(0)):
        full = whole.logits(dataset[position]['inputs'].flip(0)[None] / 255)[0].numpy()
        assert full.shape == (10, ) and np.ptp(full) > 0.01
        np.testing.assert_allclose(full[[7, 2, 4]], row['logits'], atol=2e-3, rtol=2e-3)
    cfg.soft_labels.teacher.columns = [7, 2, 5]
    with pytest.raises(ValueError, match='soft labels of other classes of the teacher'):
        check_labels(cfg, store.folder)


def test_an_online_teacher_answers_for_these_classes(subset, teacher):
    from mmdd.registry import MODELS
    cfg = student(subset, 'rded_soft', dict(teacher, mapping='name'))
    assert cfg.model.teacher.columns == [7, 2, 4]
    model = MODELS.build(cfg.model)
    images = torch.randn(2, 3, 32, 32)
    target = model._ask(images)
    full = Teacher(**teacher).normalized_logits(images)
    torch.testing.assert_close(target, full[:, [7, 2, 4]])
    assert model.loss(images)['loss'].item() > 0


def test_a_teacher_of_other_classes_without_a_mapping_is_refused(subset, teacher):
    with pytest.raises(ValueError, match='the teacher has other classes than the set .10, the set '
                                         '3.*or say which are the same in '
                                         'protocol.schedule.teacher.mapping'):
        student(subset, 'fkd_soft', teacher)
