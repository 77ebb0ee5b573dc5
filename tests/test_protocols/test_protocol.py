"""Swapping the training set, checking sets, naming runs."""
import copy
import os

import pytest
import toy_student
from mmengine.config import Config
from PIL import Image

from mmdd.datasets.views import leaf_dataset
from mmdd.protocols.protocol import (
    content_hash,
    has_validation,
    read_protocol,
    run_key,
    scale_lr,
    selection,
    student_config,
    swap_dataset,
)
from mmdd.protocols.recipes.lengths import num_updates
from mmdd.protocols.sets import protocol_classes, set_content

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
    def digest(folder):
        return content_hash(folder, set_content(protocol, folder))

    found = digest(a)
    assert set_content(protocol, a).images == 2
    assert found == digest(b)
    Image.new('RGB', (9, 9), 'red').save(tmp_path / 'b' / 'VOC2007' / 'JPEGImages' / 'x1.jpg')
    assert digest(b) != found
    (tmp_path / 'a' / 'manifest.json').write_text('{}')
    assert digest(a) == found


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


def test_updates_of_dropped_and_accumulated_batches():
    cfg = Config(dict(train_cfg=dict(max_epochs=3), optim_wrapper=dict(accumulative_counts=2),
                      train_dataloader=dict(batch_size=16, drop_last=True, dataset=LEAF)))
    assert num_updates(cfg, 40) == 3  # 2 batches an epoch
    cfg.train_dataloader.drop_last = False
    assert num_updates(cfg, 40) == 5  # 3 batches an epoch, 9 in all


def test_a_distillation_config_names_its_protocol():
    cfg = read_protocol(dict(evaluation=dict(protocol='configs/_base_/protocols/det_digits.py')))
    assert cfg.protocol.metrics == dict(AP50='pascal_voc/AP50', mAP='pascal_voc/mAP')


@pytest.mark.parametrize('name, classes', [
    ('det_digits', {'0', '9'}), ('det_voc', {'dog', 'tvmonitor'})])
def test_the_classes_a_protocol_knows(name, classes):
    known = protocol_classes(read_protocol(f'configs/_base_/protocols/{name}.py'))
    assert classes < set(known) and len(known) == (10 if name == 'det_digits' else 20)


def compose(*parts):
    return [f'configs/_base_/{part}.py' for part in parts]


@pytest.mark.parametrize('parts, expected', [
    (compose('models/faster-rcnn_r50', 'datasets/voc0712_det', 'protocols/det_voc'), 'det_voc'),
    (compose('models/faster-rcnn_r50', 'datasets/coco_det', 'protocols/det_coco'), 'det_coco')])
def test_single_files_compose_as_well(parts, expected):
    alone = read_protocol(f'configs/_base_/protocols/{expected}.py')
    composed = read_protocol(parts)
    for key in ('model', 'train_dataloader', 'test_dataloader', 'optim_wrapper', 'train_cfg',
                'param_scheduler', 'protocol', 'default_hooks'):
        assert composed[key] == alone[key]


@pytest.mark.parametrize('name, images, full, milestone', [
    ('det_voc', 16551 * 3, 12416, 9312), ('det_coco', 117266, 87960, 58640)])
def test_matched_iterations(name, images, full, milestone):
    """As many updates as the full set gets, and steps after the same share of them."""
    epochs = read_protocol(f'configs/_base_/protocols/{name}.py')
    iters = read_protocol(f'configs/_base_/protocols/{name}_iters.py')
    assert epochs.train_dataloader.batch_size == iters.train_dataloader.batch_size == 16
    per_epoch = -(-images // 16)
    assert epochs.train_cfg.max_epochs * per_epoch == full
    assert num_updates(iters, 5) == full and 'max_epochs' not in iters.train_cfg
    steps, = (node for node in epochs.param_scheduler if 'milestones' in node)
    matched, = (node for node in iters.param_scheduler if 'milestones' in node)
    assert matched.milestones == [per_epoch * epoch for epoch in steps.milestones]
    assert matched.milestones[0] == milestone and not matched.by_epoch


def test_segmentation_on_voc():
    """mmseg's recipe: 20,000 updates of 16, poly from 0.01, mIoU in percent."""
    cfg = read_protocol(compose('models/lraspp_mobilenet-v3-l', 'datasets/voc2012_seg',
                                'protocols/seg_voc'))
    assert num_updates(cfg, 51) == 20000 and cfg.train_dataloader.batch_size == 16
    assert cfg.optim_wrapper.optimizer.lr == 0.01
    assert [node.type for node in cfg.param_scheduler] == ['PolyLR']
    assert cfg.model.decode_head.num_classes == 21
    assert cfg.test_evaluator.iou_metrics == ['mIoU'] and cfg.val_dataloader is None
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['RandomCrop'].crop_size == (512, 512)
    assert steps['RandomResize'].ratio_range == (0.5, 2.0)
    assert steps['RandomFlip'].prob == 0.5 and 'PhotoMetricDistortion' in steps
    assert cfg.protocol.scale == 1.


def test_a_fragment_alone_is_refused():
    with pytest.raises(ValueError, match='seg_voc.py: the protocol has no model; a fragment of'):
        read_protocol('configs/_base_/protocols/seg_voc.py')


@pytest.mark.parametrize('select, val, expected, validated', [
    (None, 'val', 'val', 'val'), ('val', 'val', 'val', 'val'), ('test', 'val', 'test', 'test'),
    ('none', 'val', None, None), (None, None, None, None), ('test', None, 'test', 'test'),
    # A validation split that is the test split selects nothing, unless that is asked for.
    (None, 'test', None, None), ('test', 'test', 'test', 'test')])
def test_what_selects_the_best_checkpoint(tmp_path, select, val, expected, validated):
    base = toy_student.protocol(tmp_path / 'real')
    if select:
        base['protocol']['select'] = select
    base['default_hooks']['checkpoint'].pop('save_best')
    base['val_dataloader'] = val and toy_student.loader(tmp_path / 'real', val, False)
    cfg = read_protocol(base)
    assert has_validation(cfg) == (val == 'val')
    student = student_config(cfg, toy_student.voc_set(tmp_path / 'a', [1]), 0)
    assert selection(student) == expected
    assert student.default_hooks.checkpoint.get('save_best') == (
        'toy/score' if expected else None)
    loader = student.val_dataloader
    assert (loader and loader.dataset.ann_file.split('/')[-1]) == (
        f'{validated}.txt' if validated else None)
    assert (student.val_evaluator is None) == (validated is None)


def test_another_learning_rate(protocol, tmp_path):
    protocol.param_scheduler = [dict(type='OneCycleLR', eta_max=3.), dict(type='PolyLR', power=1)]
    folder = toy_student.voc_set(tmp_path / 'a', [1])
    student = student_config(protocol, folder, 0, lr=0.1)
    assert student.optim_wrapper.optimizer.lr == 0.1
    assert [node.to_dict() for node in student.param_scheduler] == [
        dict(type='OneCycleLR', eta_max=pytest.approx(0.3)), dict(type='PolyLR', power=1)]
    protocol.optim_wrapper = dict(constructor='Two')
    with pytest.raises(ValueError, match='learning rate can only be set for one optimizer'):
        scale_lr(protocol, 0.1)


@pytest.mark.parametrize('config, message', [
    (dict(model=dict()), 'neither a field protocol'),
    (dict(protocol=dict(task='poetry', metrics=dict(a='b'))), "got task 'poetry'"),
    (dict(protocol=dict(task='detection')), 'protocol needs metrics'),
    (dict(evaluation=dict(students={})), 'evaluation has no protocol'),
    (dict(protocol=dict(task='detection', metrics=dict(a='b'), select='train')),
     "protocol.select must be one of 'val', 'test', 'none', got 'train'")])
def test_not_a_protocol(config, message):
    with pytest.raises(ValueError, match=message):
        read_protocol(config)


def test_unusable_sets(protocol, tmp_path):
    def check(folder, message):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
            set_content(protocol, str(folder))
        assert '\n' not in str(caught.value)

    check(tmp_path / 'none', 'none not found')
    (tmp_path / 'hollow').mkdir()
    check(tmp_path / 'hollow', r'not a set in VOC layout: .*Main/\*.txt not found')
    check(toy_student.voc_set(tmp_path / 'empty', []), 'lists no image')
    check(toy_student.voc_set(tmp_path / 'cats', [1], names=('cat', )), r"\['cat'\] that the")
    folder = toy_student.voc_set(tmp_path / 'lost', [1])
    os.unlink(tmp_path / 'lost' / 'VOC2007' / 'JPEGImages' / 'x1.jpg')
    check(folder, 'x1.jpg is listed in .* but missing')
    (tmp_path / 'cats' / 'VOC2007' / 'Annotations' / 'x1.xml').write_text('<annotation>')
    check(tmp_path / 'cats', 'x1.xml: cannot be read as a VOC annotation')
