"""The sheet of samples and the numbers of a set in the backends of the visualizer."""
import json

import cv2
import numpy as np
import pytest
import tiny

from mmdd.apis import distill
from mmdd.engine import ContactSheetHook


def run(digits, folder, backends=None):
    """A job of five batches of two images, with a sheet for the visualizer every second one."""
    cfg = tiny.classification_job(digits)
    cfg['custom_hooks'] = [dict(type='ContactSheetHook', num=4, interval=2)]
    if backends:
        cfg['visualizer'] = dict(type='Visualizer', vis_backends=backends)
    distill(cfg, str(folder))
    with open(folder / 'distilled/manifest.json') as f:
        return json.load(f)


def test_the_local_backend_has_sheets_and_the_closing_numbers(digits, tmp_path):
    manifest = run(digits, tmp_path)
    folder, = tmp_path.glob('*/vis_data')
    assert sorted(path.name for path in folder.glob('vis_image/*')) == [
        'samples_2.png', 'samples_4.png', 'samples_5.png']
    last = cv2.imread(str(folder / 'vis_image/samples_5.png'))
    assert np.array_equal(last, cv2.imread(str(tmp_path / 'progress.png')))
    lines = [json.loads(line) for line in (folder / 'scalars.json').read_text().splitlines()]
    assert lines[-1] == {
        'set/budget_met': 10, 'set/images_made': 10, 'set/discard_rate': 0., 'step': 5,
        'set/seconds_per_kept': manifest['cost']['seconds_per_kept']}


def test_tensorboard_has_sheets_and_the_closing_numbers(digits, tmp_path):
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    run(digits, tmp_path, [dict(type='TensorboardVisBackend')])
    folder, = tmp_path.glob('*/vis_data')
    events = accumulator.EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Images('samples')] == [2, 4, 5]
    assert [event.value for event in events.Scalars('set/images_made')] == [10.]


@pytest.mark.parametrize('settings', [dict(num=0), dict(interval=0)])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match='num and interval must be at least 1'):
        ContactSheetHook(**settings)
