"""Jobs that several sets and students share: found through configs, and made once."""
from types import SimpleNamespace

from mmengine.config import Config

from mmdd.engine import distill_job, worker_jobs
from mmdd.engine.distill_job import read_job
from mmdd.engine.worker_jobs import Preparations
from mmdd.utils.config import fingerprint


def test_what_a_set_prepares(tmp_path):
    """Steps and weights are found through the configs of what is trained."""
    scenes = dict(type='DigitScenes', root=str(tmp_path))
    (tmp_path / 'inner.py').write_text(
        f'prepare = [{dict(scenes, type="mmdd.DigitScenes")!r}]\nmodel = dict()\n')
    (tmp_path / 'outer.py').write_text(
        f'prepare = [dict(type="TrainedCheckpoint", config={str(tmp_path / "inner.py")!r}, '
        f'checkpoint="backbone.pth")]\n')
    proxy = dict(type='DetectorProxy', cfg=str(tmp_path / 'outer.py'), checkpoint='proxy.pth')
    found = Preparations(str(tmp_path))
    data = fingerprint(scenes)
    assert found.of_set(Config(dict(prepare=[scenes], model=dict(proxy=proxy)))) == [
        data, 'proxy.pth']
    assert {name: set(job.needs) for name, job in found.jobs.items()} == {
        data: set(), 'backbone.pth': {data}, 'proxy.pth': {data, 'backbone.pth'}}
    # the same again, and a part that another set adds
    judge = dict(proxy, checkpoint='judge.pth')
    assert found.of_set(Config(dict(model=dict(proxy=proxy, judge=judge)))) == [
        'proxy.pth', 'judge.pth']
    assert set(found.jobs) == {data, 'backbone.pth', 'proxy.pth', 'judge.pth'}
    assert found.jobs['judge.pth'].needs == ['proxy.pth', 'backbone.pth']
    assert found.of_set(Config(dict(model=dict(type='RandomCoreset')))) == []


def test_weights_that_are_there_need_nothing(tmp_path):
    path = tmp_path / 'proxy.pth'
    path.write_bytes(b'x')
    (tmp_path / 'outer.py').write_text('prepare = [dict(type="DigitScenes", root="nowhere")]\n')
    proxy = dict(type='DetectorProxy', cfg=str(tmp_path / 'outer.py'), checkpoint=str(path))
    found = Preparations(str(tmp_path))
    assert found.of_set(Config(dict(model=dict(proxy=proxy)))) == [] and found.jobs == {}


def test_class_shards_are_fine_tuned_beside_each_other(tmp_path):
    """A job for each, with the training and the file that distilling would look for."""
    job = read_job('configs/minimax/resnet18_imagenet_ipc10.py', {
        'model.fine_tune.checkpoint': str(tmp_path / 'tuned.pth'),
        'model.fine_tune.classes_per_shard': 400})
    (tmp_path / 'tuned_400-799.pth').write_bytes(b'x')
    found = Preparations(str(tmp_path))
    paths = [str(tmp_path / f'tuned_{name}.pth') for name in ('0-399', '800-999')]
    assert found.of_set(job) == paths == list(found.jobs)
    for path in paths:
        assert found.jobs[path].needs == [] and found.jobs[path].target == path
        *_, work, config, place = found.jobs[path].args
        assert work is worker_jobs._fine_tune and (config, place) == (job.to_dict(), path)


def test_fine_tuned_weights_with_a_place_of_their_own_are_trained(monkeypatch):
    """Whole or of one shard of classes, and checked like those of a distillation."""
    trained, checked = [], []
    monkeypatch.setattr(distill_job, 'ensure_checkpoint', lambda config, path: trained.append(
        (path, config.model.get('labels'))))
    monkeypatch.setattr(distill_job, 'check_fine_tunes', lambda jobs, *_: checked.append(
        len(jobs)))
    monkeypatch.setattr(distill_job, 'open_real_set', lambda dataset: SimpleNamespace(
        metainfo=dict(classes=list('0123456789'))))
    path = 'work_dirs/digits/minimax_dit{}.pth'
    job = read_job('configs/minimax/convnet_digits_ipc10.py')
    worker_jobs._fine_tune(job.to_dict())
    job.model.fine_tune.classes_per_shard = 4
    worker_jobs._fine_tune(job.to_dict(), path.format('_4-7'))
    assert trained == [(path.format(''), None), (path.format('_4-7'), [4, 5, 6, 7])]
    assert checked == [1, 3]
