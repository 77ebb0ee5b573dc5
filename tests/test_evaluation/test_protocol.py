"""Swapping the training set, checking sets, naming runs."""
import copy
import os

import pytest
import toy_student
from mmengine.config import Config

from mmdd.evaluation.protocol import (
    known_classes,
    leaf_dataset,
    num_updates,
    read_protocol,
    run_key,
    set_files,
    student_config,
    swap_dataset,
)

LEAF = dict(type='VOCDataset', data_root='real', ann_file='a.txt', metainfo=dict(classes=('0', )),
            pipeline=[dict(type='LoadImageFromFile')])


@pytest.fixture
def protocol(tmp_path):
    return read_protocol(toy_student.protocol(tmp_path / 'real'))


@pytest.mark.parametrize('nested, expected', [
    (LEAF, 'leaf'),
    (dict(type='ConcatDataset', datasets=[LEAF, dict(LEAF, ann_file='b.txt')]), 'leaf'),
    (dict(type='RepeatDataset', times=3, dataset=LEAF), 'repeat'),
    (dict(type='RepeatDataset', times=3, dataset=dict(
        type='ConcatDataset', datasets=[LEAF, dict(LEAF, ann_file='b.txt')])), 'repeat'),
])
def test_a_nested_dataset_is_swapped(nested, expected):
    before = copy.deepcopy(nested)
    swapped = swap_dataset(nested, dict(data_root='mine', ann_file='c.txt'))
    leaf = dict(LEAF, data_root='mine', ann_file='c.txt')
    assert swapped == (
        leaf if expected == 'leaf' else dict(type='RepeatDataset', times=3, dataset=leaf))
    assert nested == before
    assert leaf_dataset(nested) == LEAF


def test_only_the_training_set_and_the_seed_change(protocol, tmp_path):
    folder = toy_student.voc_set(tmp_path / 'a', [1])
    student = student_config(protocol, folder, 7).to_dict()
    expected = protocol.to_dict()
    del expected['protocol']
    expected['randomness'] = dict(seed=7, deterministic=False)
    expected['train_dataloader']['dataset'].update(
        data_root=folder, data_prefix=dict(sub_data_root='VOC2007/'))
    assert student == expected
    assert student_config(protocol, 'full', 7).train_cfg.max_iters == 6


def test_the_content_of_a_set_makes_its_hash(protocol, tmp_path):
    a, b = (toy_student.voc_set(tmp_path / name, [1, 2]) for name in 'ab')
    found = set_files(protocol, a)
    assert found['images'] == 2
    assert found == set_files(protocol, b)
    (tmp_path / 'b' / 'VOC2007' / 'JPEGImages' / 'x1.jpg').write_text('others')
    assert set_files(protocol, b)['sha256'] != found['sha256']
    (tmp_path / 'a' / 'manifest.json').write_text('{}')
    assert set_files(protocol, a) == found


def test_the_key_of_a_run(protocol, tmp_path):
    a, b = (toy_student.voc_set(tmp_path / name, [1]) for name in 'ab')
    key = run_key(student_config(protocol, a, 0), 'content', 0)
    assert key == run_key(student_config(protocol, b, 0), 'content', 0)
    assert key != run_key(student_config(protocol, a, 1), 'content', 1)
    assert key != run_key(student_config(protocol, a, 0), 'other content', 0)
    protocol.optim_wrapper.optimizer.lr = 0.2
    assert key != run_key(student_config(protocol, a, 0), 'content', 0)


def test_the_key_knows_the_weights_a_student_starts_from(protocol, tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.write_text('a')
    protocol.model.init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    key = run_key(protocol, 'content', 0)
    weights.write_text('b')
    assert key != run_key(protocol, 'content', 0)


@pytest.mark.parametrize('loop, images, expected', [
    (dict(max_iters=40), 5, 40), (dict(max_epochs=4), 166, 4 * 32)])
def test_updates(loop, images, expected):
    cfg = Config(dict(train_cfg=loop, train_dataloader=dict(batch_size=16, dataset=dict(
        type='RepeatDataset', times=3, dataset=LEAF))))
    assert num_updates(cfg, images) == expected


def test_a_distillation_config_names_its_protocol():
    cfg = read_protocol(dict(evaluation=dict(protocol='configs/_base_/protocols/det_digits.py')))
    assert cfg.protocol.metrics == dict(AP50='pascal_voc/AP50', mAP='pascal_voc/mAP')


@pytest.mark.parametrize('name, classes', [
    ('det_digits', {'0', '9'}), ('det_voc', {'dog', 'tvmonitor'})])
def test_the_classes_a_protocol_knows(name, classes):
    known = known_classes(read_protocol(f'configs/_base_/protocols/{name}.py'))
    assert classes < known and len(known) == (10 if name == 'det_digits' else 20)


@pytest.mark.parametrize('config, message', [
    (dict(model=dict()), 'neither a field protocol'),
    (dict(protocol=dict(task='poetry', metrics=dict(a='b'))), "got task 'poetry'"),
    (dict(protocol=dict(task='detection')), 'protocol needs metrics')])
def test_not_a_protocol(config, message):
    with pytest.raises(ValueError, match=message):
        read_protocol(config)


def test_unusable_sets(protocol, tmp_path):
    def check(folder, message):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
            set_files(protocol, str(folder))
        assert '\n' not in str(caught.value)

    check(tmp_path / 'none', 'none not found')
    (tmp_path / 'hollow').mkdir()
    check(tmp_path / 'hollow', 'not a set in VOC layout: .*train.txt not found')
    check(toy_student.voc_set(tmp_path / 'empty', []), 'lists no image')
    check(toy_student.voc_set(tmp_path / 'cats', [1], names=('cat', )), r"\['cat'\] that the")
    folder = toy_student.voc_set(tmp_path / 'lost', [1])
    os.unlink(tmp_path / 'lost' / 'VOC2007' / 'JPEGImages' / 'x1.jpg')
    check(folder, 'x1.jpg is listed in .* but missing')
    (tmp_path / 'cats' / 'VOC2007' / 'Annotations' / 'x1.xml').write_text('<annotation>')
    check(tmp_path / 'cats', 'x1.xml is not valid XML')
