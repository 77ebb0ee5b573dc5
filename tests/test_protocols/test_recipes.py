"""What classification protocols set by the size of the set: tables, curves, sizes, teachers."""
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope

from mmdd.datasets.formats import SetContent
from mmdd.protocols.protocol import read_protocol, student_config
from mmdd.protocols.recipes.base import set_image_size
from mmdd.protocols.recipes.rded import at_least
from mmdd.registry import TASK_UTILS
from mmdd.utils.config import load_config

NAMES = ('idc_hard', 'rded_soft', 'fkd_soft', 'dc_dsa')


def protocol(name, model='resnet18', **schedule):
    return read_protocol([
        f'configs/_base_/models/{model}.py', 'configs/_base_/datasets/imagenette_cls.py',
        f'configs/_base_/protocols/{name}.py', dict(protocol=dict(schedule=schedule))])


def apply(name, images=100, num_classes=10, **schedule):
    cfg = protocol(name, **schedule)
    TASK_UTILS.build(cfg.pop('protocol').schedule).apply(cfg, images, num_classes)
    return cfg


def curve(cfg, epochs):
    """Learning rate of each epoch, by mmengine's own scheduler."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)],
                                lr=cfg.optim_wrapper.optimizer.lr)
    wrapper = OptimWrapper(optimizer)
    node, = cfg.param_scheduler
    scheduler = PARAM_SCHEDULERS.build(dict(node), default_args=dict(optimizer=wrapper))
    rates = []
    for _ in range(epochs):
        rates.append(wrapper.get_lr()['lr'][0])
        wrapper.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize('name', NAMES)
def test_a_protocol_is_complete(name):
    cfg = protocol(name)
    assert cfg.default_scope == 'mmpretrain' and cfg.model.backbone.depth == 18
    assert cfg.protocol.task == 'classification' and cfg.protocol.scale == 1.
    assert cfg.protocol.metrics == dict(top1='accuracy/top1')
    for split in ('train', 'val', 'test'):
        leaf = cfg[f'{split}_dataloader'].dataset
        assert leaf.type == 'CustomDataset' and len(leaf.metainfo.classes) == 10
        assert leaf.pipeline[-1].type == 'PackInputs'
    assert cfg.val_evaluator.topk == cfg.test_evaluator.topk == (1, )


# Images per class, classes -> epochs, batch, lr
IDC = [(1, 10, 3000), (2, 10, 2000), (10, 10, 2000), (11, 10, 1500), (50, 10, 1500),
       (100, 10, 1000), (200, 10, 1000), (500, 10, 500), (501, 10, 300), (1, 100, 2000),
       (10, 100, 1300), (50, 100, 1000), (200, 100, 600), (500, 100, 300), (501, 100, 200),
       (9.9, 10, 2000)]


@pytest.mark.parametrize('ipc, classes, epochs', IDC)
def test_idc_epochs(ipc, classes, epochs):
    cfg = apply('idc_hard', int(ipc * classes), classes)
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_cfg.val_interval == epochs // 100
    assert cfg.default_hooks.checkpoint.interval == epochs // 10
    rates = curve(cfg, epochs)
    first, second = math.floor(epochs * 2 / 3 + 1e-9), math.floor(epochs * 5 / 6 + 1e-9)
    assert rates[0] == rates[first - 1] == 0.01
    assert rates[first] == pytest.approx(0.002) == rates[second - 1]
    assert rates[second] == pytest.approx(0.0004) == rates[-1]


def test_idc_settings():
    cfg = apply('idc_hard')
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4)
    assert cfg.model.train_cfg.augments == [dict(type='CutMix', alpha=1.)]
    # Over 100 classes
    cfg = apply('idc_hard', 2000, 200)
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr,
            cfg.optim_wrapper.optimizer.weight_decay) == (128, 0.1, 1e-4)
    assert cfg.train_cfg.max_epochs == 2000
    # The full set
    assert apply('idc_hard', None).train_cfg.max_epochs == 300
    other = apply('idc_hard', 10, 10, epochs=dict(table={'1': 7}))
    assert other.train_cfg.max_epochs == 7


# Images per class, classes -> batch: RDED's values, and the rule for all others
RDED = [(1, 10, 10), (10, 10, 50), (50, 10, 100), (1, 100, 20), (10, 100, 100), (50, 100, 200),
        (1, 1000, 20), (10, 1000, 100), (50, 1000, 200), (1, 200, 100), (10, 200, 100),
        (50, 200, 100), (5, 10, 10), (9, 10, 10), (20, 10, 50), (49, 10, 50), (100, 10, 100),
        (9.9, 10, 50), (0.5, 10, 10)]


@pytest.mark.parametrize('ipc, classes, batch', RDED)
def test_rded_batches(ipc, classes, batch):
    cfg = apply('rded_soft', int(ipc * classes), classes)
    assert cfg.train_dataloader.batch_size == batch


def test_every_ipc_has_a_batch_that_grows():
    batches = [apply('rded_soft', 10 * ipc).train_dataloader.batch_size for ipc in (1, 3, 30, 300)]
    assert batches == sorted(batches) and batches[0] > 0
    assert apply('rded_soft', None).train_dataloader.batch_size == 100
    assert at_least([(10, 5), (1, 3)], 0) == 3 and at_least([(10, 5), (1, 3)], math.inf) == 5


def test_rded_ends_at_half_the_learning_rate():
    rates = curve(apply('rded_soft'), 301)
    for epoch in (0, 1, 75, 150, 299, 300):
        assert rates[epoch] == pytest.approx(
            1e-3 * 0.5 * (1 + math.cos(math.pi * epoch / 600)), rel=1e-9)
    assert rates[300] == pytest.approx(0.5e-3)
    to_zero = apply('rded_soft', lr_stretch=1., epochs=40)
    assert to_zero.train_cfg.max_epochs == 40
    assert curve(to_zero, 41)[40] == pytest.approx(0, abs=1e-12)


def test_rded_settings():
    cfg = apply('rded_soft')
    assert cfg.optim_wrapper == dict(
        type='OptimWrapper', paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.),
        optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01))
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_begin, cfg.train_cfg.val_interval) == (
        300, 242, 10)
    model = cfg.model
    assert (model.type, model.temperature, model.squared, model.pollute_norm) == (
        'mmdd.SoftLabelClassifier', 20., False, True)
    assert model.mix == dict(type='CutMix', alpha=1.) and 'train_cfg' not in model.student
    assert model.student.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert apply('rded_soft', mix='Mixup', temperature=None).model.temperature == 4.
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['mmdd.PatchShuffle'].factor == 2
    assert steps['RandomResizedCrop'].crop_ratio_range == (0.5, 1.)
    small = apply('rded_soft', image_size=32).train_dataloader.dataset.pipeline
    assert small[1].factor == 1 and small[2].crop_ratio_range == (1., 1.)
    with pytest.raises(ValueError, match="mix must be .*CutMix.*Mixup.*got 'Blend'"):
        apply('rded_soft', mix='Blend')


def rded_epochs(epochs):
    """When RDED's released loop measures: after epochs that count from 1."""
    return [epoch + 1 for epoch in range(epochs)
            if (epoch % 10 == 9 or epoch == epochs - 1) and epoch > epochs * 0.8]


@pytest.mark.parametrize('epochs', [300, 295, 400, 45, 12])
def test_rded_measures_when_the_released_code_does(epochs):
    loop = apply('rded_soft', epochs=epochs).train_cfg
    assert [epoch for epoch in range(1, epochs + 1) if epoch >= loop.val_begin and (
        epoch % loop.val_interval == 0 or epoch == epochs)] == rded_epochs(epochs)
    assert rded_epochs(300) == [250, 260, 270, 280, 290, 300]


@pytest.mark.parametrize('model, rate', [
    ('resnet18', 1e-3), ('convnet3', 1e-3), ('efficientnet-b0', 2e-3), ('mobilenet-v2', 2.5e-3),
    ('vit-b16', 1e-4), ('swin-t', 1e-4)])
def test_rded_rates_by_network(model, rate):
    cfg = protocol('rded_soft', model)
    TASK_UTILS.build(cfg.pop('protocol').schedule).apply(cfg, 100, 10)
    assert cfg.optim_wrapper.optimizer.lr == rate


@pytest.mark.parametrize('model', ['resnet18', 'resnet18_in', 'resnet18_cifar', 'resnet50'])
def test_initial_weights_are_those_of_torchvision(model):
    """No residual branch is zero; the head is uniform in 1 / sqrt(inputs), not normal."""
    cfg = load_config([f'configs/_base_/models/{model}.py', dict(model=dict(head=dict(
        num_classes=10)))])
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(cfg.model)
    network.init_weights()
    norms = [m for m in network.modules() if hasattr(m, 'affine') and m.weight is not None]
    assert len(norms) > 15 and all((norm.weight == 1).all() for norm in norms)
    weight = network.head.fc.weight
    bound = weight.shape[1]**-0.5
    assert bound * 0.99 < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    first = network.backbone.conv1.weight
    fan_out = first.shape[0] * first.shape[2] * first.shape[3]
    assert first.std().item() == pytest.approx((2 / fan_out)**0.5, rel=0.05)


@pytest.mark.parametrize('name, mean, std', [
    ('cifar10', (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ('cifar100', (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762))])
@pytest.mark.parametrize('rules', ['dc_dsa', 'challenge'])
def test_cifar_has_its_own_colours(name, mean, std, rules):
    cfg = read_protocol(['configs/_base_/models/convnet3.py',
                         f'configs/_base_/datasets/{name}_cls.py',
                         f'configs/_base_/protocols/{rules}.py'])
    found = cfg.model.data_preprocessor
    assert found.mean == pytest.approx([255 * value for value in mean])
    assert found.std == pytest.approx([255 * value for value in std])


def test_rded_normalises_all_sets_by_imagenet():
    """Kept in the preset, also where the model has colours of its own."""
    cfg = read_protocol([
        'configs/_base_/models/resnet18.py', 'configs/_base_/datasets/cifar10_cls.py',
        dict(model=dict(data_preprocessor=dict(mean=[1., 1., 1.], std=[2., 2., 2.]))),
        'configs/_base_/protocols/rded_soft.py'])
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.model.data_preprocessor.std == [58.395, 57.12, 57.375]


def test_fkd_settings():
    cfg = apply('fkd_soft', 100, topk=3, pool=100)
    assert cfg.train_dataloader.batch_size == 1024
    assert cfg.train_dataloader.sampler == dict(type='mmdd.ReplaySampler')
    dataset = cfg.train_dataloader.dataset
    assert (dataset.type, dataset.labels, dataset.reuse) == ('mmdd.SoftLabelDataset', None, 100)
    assert dataset.dataset.type == 'CustomDataset'
    wanted = cfg.soft_labels
    assert (wanted.epochs, wanted.batch_size, wanted.topk, wanted.cutmix, wanted.flip_prob) == (
        100, 1024, 3, 1., 0.5)
    assert list(wanted.crop_area) == [0.08, 1.] and wanted.temperature == 20.
    assert cfg.model.type == 'mmdd.SoftLabelClassifier' and cfg.model.get('mix') is None
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0., bias_decay_mult=0.)
    rates = curve(cfg, 301)
    assert rates[150] == pytest.approx(0.5e-3) and rates[300] == pytest.approx(0, abs=1e-12)
    assert cfg.train_cfg.val_interval == 50
    with pytest.raises(ValueError, match='topk must be 1 to 9, got 10'):
        apply('fkd_soft', topk=10)
    with pytest.raises(ValueError, match='pool must be 1 to 300 epochs, got 301'):
        apply('fkd_soft', pool=301)


def test_dsa_settings():
    cfg = apply('dc_dsa')
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (1001, 256)
    assert cfg.train_cfg.val_interval == 1001
    rates = curve(cfg, 1001)
    assert rates[0] == rates[501] == 0.01 and rates[502] == pytest.approx(0.001) == rates[1000]
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4)
    augment, = cfg.model.train_cfg.augments
    assert augment == dict(
        type='mmdd.models.DSA', flip=0.5, scale=1.2, rotate=15., crop=0.125, cutout=0.5,
        brightness=1., saturation=2., contrast=0.5)
    assert 'save_best' not in cfg.default_hooks.checkpoint
    assert curve(apply('dc_dsa', epochs=300), 153)[151:] == [0.01, pytest.approx(0.001)]


@pytest.mark.parametrize('name, size, train, test', [
    ('idc_hard', 256, {256}, [256, 256]), ('idc_hard', 224, {224}, [224, 224]),
    ('rded_soft', 64, {64}, [72, 64]), ('rded_soft', 32, {32}, [32, 32]),
    ('rded_soft', 224, {224}, [256, 224]), ('fkd_soft', 128, {128}, [144, 128]),
    ('dc_dsa', 32, {32}, [32, 32])])
def test_image_size(name, size, train, test):
    """size // 7 * 8 before a crop from the centre, where the protocol has a margin."""
    cfg = apply(name, image_size=size)
    dataset = cfg.train_dataloader.dataset
    steps = dataset.get('dataset', dataset).pipeline
    assert {step[k] for step in steps for k in ('scale', 'crop_size') if k in step} == train
    for split in ('val', 'test'):
        steps = cfg[f'{split}_dataloader'].dataset.pipeline
        assert [step[k] for step in steps for k in ('scale', 'crop_size') if k in step] == test


def test_sizes_of_two_sides():
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='A', pipeline=[
        dict(type='Resize', scale=(256, 224)), dict(type='PackInputs')]))))
    set_image_size(cfg, 112, 224)
    assert cfg.train_dataloader.dataset.pipeline[0].scale == (128, 112)


def test_the_size_of_a_step_that_is_done_once():
    cfg = read_protocol('configs/_base_/protocols/cls_digits.py')
    set_image_size(cfg, 64, 32)
    for split in ('train', 'val', 'test'):
        once = cfg[f'{split}_dataloader'].dataset.pipeline[0]
        assert once.type == 'mmdd.CachedSteps' and once.steps[-1].scale == (64, 64)


def test_a_set_without_validation_split():
    cfg = protocol('idc_hard')
    cfg.val_dataloader.dataset.pop('type')
    cfg = student_config(cfg, 'full', 0, SetContent(100, [], {}))
    assert cfg.val_dataloader is cfg.val_evaluator is cfg.val_cfg is None
    assert 'save_best' not in cfg.default_hooks.checkpoint
    with pytest.raises(ValueError, match='give it metainfo'):
        apply('idc_hard', 100, 0)


def test_the_teacher_is_the_student_network_unless_named():
    model = apply('rded_soft').model
    teacher = model.teacher
    assert teacher.checkpoint is None and teacher.cfg.model.backbone == model.student.backbone
    # No paths: where the data lies does not change the protocol.
    assert 'data_root' not in teacher.cfg.train_dataloader.dataset
    named = dict(checkpoint='a.pth', cfg=['configs/_base_/models/resnet50.py',
                                          'configs/_base_/datasets/imagenette_cls.py'])
    teacher = apply('rded_soft', teacher=named).model.teacher
    assert (teacher.cfg.model.backbone.depth, teacher.checkpoint) == (50, 'a.pth')


@pytest.mark.parametrize('dataset, message', [
    ('imagewoof', r"the teacher has other classes than the set \(10, the set 10\): class 0 is "
                  "'Shih-Tzu' there and 'tench' in the set; give a teacher of the same"),
    ('imagenet', r"other classes than the set \(1000, the set 10\): class 0 is 'tench, .*mapping$")
])
def test_a_teacher_of_other_classes(dataset, message):
    cfg = ['configs/_base_/models/resnet18.py', f'configs/_base_/datasets/{dataset}_cls.py']
    for name in ('rded_soft', 'fkd_soft'):
        with pytest.raises(ValueError, match=message):
            apply(name, teacher=dict(cfg=cfg, checkpoint='a.pth'))


@pytest.mark.parametrize('name, key, value', [
    ('rded_soft', 'T_max', 14), ('fkd_soft', 'T_max', 7), ('dc_dsa', 'milestones', [5])])
def test_one_scheduler_may_be_a_dict(name, key, value):
    """MMEngine takes a lone scheduler without a list."""
    cfg = protocol(name, epochs=7)
    cfg.param_scheduler = cfg.param_scheduler[0]
    TASK_UTILS.build(cfg.pop('protocol').schedule).apply(cfg, 100, 10)
    assert cfg.param_scheduler[key] == value


def test_an_online_teacher_changes_the_labels_alone():
    hard = read_protocol('configs/_base_/protocols/cls_digits.py')
    soft = read_protocol('configs/_base_/protocols/cls_digits_soft.py')
    rule = TASK_UTILS.build(soft.pop('protocol').schedule)
    rule.apply(soft, 100, 10)
    hard.pop('protocol')
    model, student = soft.pop('model'), hard.pop('model')
    assert soft.to_dict() == hard.to_dict()
    assert model.student.backbone == student.backbone and model.student.head == student.head
    assert (model.type, model.temperature, model.mix) == ('mmdd.SoftLabelClassifier', 4., None)
    assert model.teacher.checkpoint == 'work_dirs/digits/convnet_backbone.pth'


def test_labels_of_images_change_the_labels_alone():
    hard = read_protocol('configs/_base_/protocols/cls_digits.py')
    soft = read_protocol('configs/_base_/protocols/cls_digits_image.py')
    rule = TASK_UTILS.build(soft.pop('protocol').schedule)
    rule.apply(soft, 100, 10)
    hard.pop('protocol')
    model, student, labels = soft.pop('model'), hard.pop('model'), soft.pop('soft_labels')
    assert soft.train_dataloader.dataset.type == 'mmdd.ImageLabelDataset'
    soft.train_dataloader.dataset = soft.train_dataloader.dataset.dataset
    assert soft.to_dict() == hard.to_dict()
    assert model.student.backbone == student.backbone and model.per_image
    assert 'teacher' not in model
    assert labels.pipeline == hard.test_dataloader.dataset.pipeline
    assert (labels.regime, labels.temperature) == ('image', 4.)


def test_the_teacher_schedule_is_a_training():
    cfg = load_config('configs/_base_/schedules/teacher_cls.py')
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == 100
