"""A class may stand as ``type`` wherever a config names one."""
import copy

import pytest
import tiny
from distilled import files, manifest
from mmengine.registry import DefaultScope

from mmdd.apis import distill
from mmdd.engine.batch_share import needs_whole_batch
from mmdd.engine.distill_job import read_job
from mmdd.engine.parts import parts_of
from mmdd.engine.preflight import check_components
from mmdd.models import DiT, MinimaxFineTuner, PatchSelection, SDXLTurbo, StableDiffusion
from mmdd.protocols.recipes.lengths import warm_ups
from mmdd.utils.components import class_of, short_name


def with_classes(config):
    """A job's config whose components are named by their classes."""
    cfg = read_job(config)
    with DefaultScope.overwrite_default_scope('mmdd'):
        for _, registry, node in list(parts_of(cfg)):
            node['type'] = class_of(registry, node)
    return cfg


@pytest.mark.parametrize('config', [
    'projects/entropy_guidance/convnet_digits_ipc10.py',
    'projects/ot_guidance/convnet_digits_ipc10.py',
    'projects/od3/faster-rcnn_digits_1pct.py',
    'configs/rded/convnet_digits_ipc10.py',
    'configs/coreset/herding_faster-rcnn_digits_1pct.py',
])
def test_checks_take_classes(config):
    cfg = with_classes(config)
    assert isinstance(cfg.model.type, type)
    with DefaultScope.overwrite_default_scope('mmdd'):
        check_components(cfg)


def test_checks_of_priors_take_classes():
    for distiller in (SDXLTurbo, PatchSelection):
        distiller.check_config(dict(diffusion=dict(type=StableDiffusion)))
        with pytest.raises(ValueError, match='DiT'):
            distiller.check_config(dict(diffusion=dict(type=DiT)))


def test_names_without_scope_and_module():
    assert short_name('mmdd.models.DiT') == short_name(DiT) == short_name('DiT') == 'DiT'
    assert short_name(None) == 'None'
    assert needs_whole_batch(dict(type=MinimaxFineTuner)) is needs_whole_batch(
        dict(type='MinimaxFineTuner'))


def test_schedulers_may_be_classes():
    from mmengine.config import Config
    from mmengine.optim import LinearLR
    node = dict(type=LinearLR, by_epoch=False, end=5)
    assert warm_ups(Config(dict(param_scheduler=[node]))) == [node]


@pytest.mark.slow
def test_a_job_of_classes_makes_the_set_of_one_of_names(digits, detector_checkpoint, tmp_path):
    job = tiny.distill_job(digits, detector_checkpoint, total=2)
    named = distill(copy.deepcopy(job), str(tmp_path / 'named'))
    folder = distill(with_classes(job), str(tmp_path / 'classes'))
    assert files(folder) == files(named)
    assert "type='mmdd.models.distillers.unidd.UniDD'" in manifest(folder)['config']
