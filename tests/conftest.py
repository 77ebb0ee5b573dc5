"""Fixtures that several test files share; each is built once per session."""
import os

os.environ.setdefault('OMP_NUM_THREADS', '1')
# albumentations would ask the network for a newer version of itself.
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')

import pytest  # noqa: E402
import torch  # noqa: E402

from mmdd.utils.compat import setup  # noqa: E402

setup()
torch.set_num_threads(1)

from quick_jobs import (  # noqa: E402
    read_config_files_once,
    skip_layout_of_configs,
    skip_old_objects,
)

skip_layout_of_configs()
read_config_files_once()


@pytest.fixture(scope='module', autouse=True)
def _quick_jobs():
    skip_old_objects()


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """Root of a tiny digit-scenes set of 32-pixel images; do not write to it."""
    import tiny
    return tiny.digit_scenes(tmp_path_factory.mktemp('digits') / 'scenes')


@pytest.fixture(scope='session')
def detector_checkpoint(digits, tmp_path_factory):
    """Checkpoint of :func:`tiny.detector` after two updates."""
    import tiny

    from mmdd.engine.train_job import ensure_checkpoint
    path = tmp_path_factory.mktemp('proxy') / 'detector.pth'
    return ensure_checkpoint(tiny.detector_job(digits), str(path))


@pytest.fixture(scope='session')
def proxy(digits, detector_checkpoint):
    """A trained tiny detector as a proxy; settings that a test changes, it puts back."""
    import tiny

    from mmdd.models import DetectorProxy
    return DetectorProxy(tiny.detector_job(digits), detector_checkpoint)


@pytest.fixture(scope='session')
def classifier_proxy(digits, tmp_path_factory):
    """A trained tiny classifier as a proxy; settings that a test changes, it puts back."""
    import tiny

    from mmdd.engine.train_job import ensure_checkpoint
    from mmdd.models import ClassifierProxy
    job = tiny.classifier_job(digits)
    path = tmp_path_factory.mktemp('proxy') / 'classifier.pth'
    return ClassifierProxy(job, ensure_checkpoint(job, str(path)))


@pytest.fixture(scope='session')
def segmentor_proxy(digits, tmp_path_factory):
    """A trained tiny segmentor as a proxy; settings that a test changes, it puts back."""
    import tiny

    from mmdd.engine.train_job import ensure_checkpoint
    from mmdd.models import SegmentorProxy
    job = tiny.segmentor_job(digits)
    path = tmp_path_factory.mktemp('proxy') / 'segmentor.pth'
    return SegmentorProxy(job, ensure_checkpoint(job, str(path)))


@pytest.fixture(scope='session')
def tiny_sd():
    """A tiny Stable Diffusion with random weights, 3 DDIM steps."""
    import tiny

    from mmdd.registry import MODELS
    return MODELS.build(tiny.stable_diffusion())


@pytest.fixture
def hostile(tmp_path):
    """Maker of files that run a command where they are unpickled without care."""
    from hostile import Hostile
    return Hostile(tmp_path)
