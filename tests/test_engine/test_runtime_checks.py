"""Settings that belong to no component: scopes, visualizers; seeds of students."""
import pytest
import tiny
from mmengine.config import Config

from mmdd.engine.runtime_checks import check_runtime
from mmdd.protocols.student import plan_runs


def job(**settings):
    return Config(dict(tiny.coreset_job('unused', dict(type='RandomCoreset')), **settings))


@pytest.mark.parametrize('settings, words', [
    (dict(default_scope='foo'), "default_scope must be the name of an installed package .*'foo'"),
    (dict(visualizer=dict(type='Foo')), "visualizer: there is no component 'Foo'"),
    (dict(visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackends')])),
     r"visualizer.vis_backends\[0\]: there is no component 'LocalVisBackends'; did you mean "
     "'LocalVisBackend'"),
    (dict(visualizer=dict(type='Visualizer', vis_backends=[None])),
     r'visualizer.vis_backends\[0\] must be a dict that names a component'),
])
def test_refused_with_the_key(settings, words):
    with pytest.raises(ValueError, match=words):
        check_runtime(job(**settings))


def test_stock_settings_pass():
    check_runtime(job(default_scope='mmdet', visualizer=dict(
        type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])))


def test_a_seed_counts_once(tmp_path):
    with pytest.raises(ValueError, match='given twice trains one student, not two: 0 1 0'):
        plan_runs({}, 'configs/_base_/protocols/cls_digits.py', str(tmp_path), [0, 1, 0])
