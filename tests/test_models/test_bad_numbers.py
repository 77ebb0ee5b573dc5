"""Settings that are NaN or infinite are refused by the components that calculate with them."""
import math

import pytest
import tiny

from mmdd.models import ClassifierProxy, DetectorProxy
from mmdd.registry import HOOKS, MODELS, TASK_UTILS

BAD = (math.nan, math.inf, -math.inf)


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('key', ['scale', 'max_norm', 'start', 'stop', 'inner_scale', 'smoothing',
                                 'loss_scale'])
def test_guidance(key, value):
    with pytest.raises(ValueError, match=f'^TaskGuidanceHook: {key} must be a finite number'):
        HOOKS.build(dict(type='mmdd.TaskGuidanceHook', **{key: value}))


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('prior', [tiny.stable_diffusion, tiny.dit, tiny.stable_diffusion_xl])
def test_cfg_scale(prior, value):
    with pytest.raises(ValueError, match=r'^model\.diffusion: cfg_scale must be a finite number'):
        MODELS.build(prior(cfg_scale=value))


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('kind, key, options', [
    ('RandomViews', 'scale', {}), ('RandomViews', 'noise', {}), ('RandomViews', 'hue', {}),
    ('CollageInitializer', 'strength', {}), ('LatentClusters', 'reassignment_ratio', {}),
    ('ComposedLabelSampler', 'smoothing', {}), ('ComposedLabelSampler', 'cooccurrence', {}),
    ('ProxyRefiner', 'threshold', {}), ('ProxyRefiner', 'judge_threshold', dict(threshold=.5)),
    ('Ratio', 'percent', {}), ('CandidatePool', 'screen_share', {})])
def test_task_utils(kind, key, options, value):
    with pytest.raises(ValueError, match=f'^{kind}: .*{key}'):
        TASK_UTILS.build(dict(type=f'mmdd.{kind}', **options, **{key: value}))


@pytest.mark.parametrize('value', BAD)
def test_proxies(digits, value):
    for kind, config, options, words in (
            (DetectorProxy, tiny.detector_job(digits), dict(relabel_thr=value), 'relabel_thr'),
            (DetectorProxy, tiny.detector_job(digits), dict(terms=dict(cls=value)), r'terms\.cls'),
            (ClassifierProxy, tiny.classifier_job(digits), dict(relabel_thr=value), 'relabel_thr'),
            (ClassifierProxy, tiny.classifier_job(digits), dict(softplus=value), 'softplus'),
            (ClassifierProxy, tiny.classifier_job(digits), dict(temperatures=(1, value)),
             'temperatures')):
        with pytest.raises(ValueError, match=f'^{kind.__name__}: {words} must'):
            kind(config, **options)
