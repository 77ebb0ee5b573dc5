"""Rules by budget: epochs, what counts them, and how a protocol names a rule."""
import pytest
import toy_student
from mmengine.config import Config

from mmdd.protocols.protocol import read_protocol, student_config
from mmdd.protocols.recipes import EpochsByIPC, ScheduleRule, ShortWarmUp
from mmdd.protocols.recipes.lengths import (
    endless_warm_up,
    num_updates,
    set_epochs,
)
from mmdd.protocols.settings import MethodSettings
from mmdd.registry import TASK_UTILS

TABLE = {1: 3000, 10: 2000, 50: 1500, 200: 1000, 500: 500}


@pytest.mark.parametrize('ipc, classes, epochs', [
    (1, 10, 3000), (0.5, 10, 3000), (2, 10, 2000), (10, 10, 2000), (10.1, 10, 1500),
    (500, 10, 500), (501, 10, 300), (None, 10, 300), (10, 100, 1333), (1, 100, 2000)])
def test_epochs_of_a_table(ipc, classes, epochs):
    """IDC's table; 100 classes take two thirds."""
    rule = EpochsByIPC(TABLE, above=300, factors={100: 2 / 3})
    assert rule.epochs(None if ipc is None else round(ipc * classes), classes) == epochs


def test_an_order_of_the_table_does_not_matter():
    rule = EpochsByIPC(dict(reversed(TABLE.items())), above=300)
    assert [rule.epochs(10 * ipc, 10) for ipc in (1, 10, 50, 200, 500, 900)] == [
        3000, 2000, 1500, 1000, 500, 300]


def training():
    return Config(dict(
        train_cfg=dict(max_epochs=12, val_interval=1), train_dataloader=dict(batch_size=4),
        param_scheduler=[
            dict(type='LinearLR', by_epoch=False, begin=0, end=500),
            dict(type='MultiStepLR', by_epoch=True, end=12, milestones=[8, 11]),
            dict(type='CosineAnnealingLR', T_max=12)]))


def test_what_counts_epochs_is_scaled():
    cfg = training()
    set_epochs(cfg, 300)
    warmup, steps, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == 300
    assert warmup.end == 500  # counts iterations
    assert (steps.end, steps.milestones, cosine.T_max) == (300, [200, 275], 300)


def test_milestones_as_fractions_and_the_number_of_validations():
    cfg = training()
    EpochsByIPC(TABLE, 300, milestones=(2 / 3, 5 / 6), validations=100).apply(cfg, 100, 10)
    assert cfg.train_cfg == dict(max_epochs=2000, val_interval=20)
    assert cfg.param_scheduler[1].milestones == [1333, 1666]
    cfg.train_cfg = dict(max_iters=3)
    with pytest.raises(ValueError, match='train_cfg has no max_epochs'):
        set_epochs(cfg, 9)


@TASK_UTILS.register_module()
class ItersOfSize(ScheduleRule):
    """As many updates as images and classes together."""

    def __init__(self, times=1):
        self.times = times

    def apply(self, cfg, images, num_classes):
        cfg.train_cfg.max_iters = self.times * (images + num_classes)


def test_a_protocol_names_a_rule(tmp_path):
    base = toy_student.protocol(tmp_path / 'real')
    base['protocol'].update(schedule=dict(type='ItersOfSize', times=10), full={})
    cfg = read_protocol(base)
    folder = toy_student.voc_set(tmp_path / 'a', [1, 2, 3, 4, 5])
    assert student_config(cfg, folder, 0).train_cfg.max_iters == 70  # 5 images, 2 classes
    assert student_config(cfg, 'full', 0).train_cfg.max_iters == 50  # 3 images
    # What the protocol says of the full set counts more than the rule.
    cfg.protocol.full = dict(train_cfg=dict(max_iters=6))
    assert student_config(cfg, 'full', 0).train_cfg.max_iters == 6
    assert cfg.train_cfg.max_iters == 4


def iterations(epochs=12, end=500, batch=16):
    return Config(dict(
        train_cfg=dict(max_epochs=epochs), train_dataloader=dict(batch_size=batch, dataset={}),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=end),
            dict(type='MultiStepLR', by_epoch=True, end=12, milestones=[8, 11], gamma=0.1)]))


# 0.25 %, 0.5 %, 1 % and all of COCO: updates, and where a warm-up of a tenth, or 500, ends
@pytest.mark.parametrize('images, updates, end', [
    (293, 228, 22), (586, 444, 44), (1173, 888, 88), (117266, 87960, 500)])
def test_a_warm_up_ends_within_a_tenth(images, updates, end):
    cfg = iterations()
    assert num_updates(cfg, images) == updates
    assert bool(endless_warm_up(cfg, updates)) == (updates <= 500)
    ShortWarmUp().apply(cfg, images, 80)
    assert cfg.param_scheduler[0].end == end and cfg.param_scheduler[1].milestones == [8, 11]
    assert endless_warm_up(cfg, updates) is None
    ShortWarmUp().apply(cfg, None, 80)
    assert cfg.param_scheduler[0].end == end


def test_coco_students_of_small_sets_leave_their_warm_up():
    cfg = read_protocol('configs/_base_/protocols/det_coco.py')
    TASK_UTILS.build(cfg.protocol.schedule).apply(cfg, 293, 80)
    assert cfg.param_scheduler[0].end == 22


def test_an_endless_warm_up_is_told():
    settings = MethodSettings(293, 228, warning=endless_warm_up(iterations(), 228))
    assert settings.line('A') == (
        'A: 293 images, 228 updates, its warm-up of 500 updates never ends')


def test_a_share_of_the_updates_is_above_0():
    with pytest.raises(ValueError, match=r'schedule\.share must be .* above 0.*, got 0'):
        read_protocol(['configs/_base_/protocols/det_coco.py',
                       dict(protocol=dict(schedule=dict(share=0)))])
