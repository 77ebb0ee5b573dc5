"""Reading checkpoints: what is loaded, what is refused, and every way to one."""
import copy
import random
import shutil
from collections import OrderedDict

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleLR, OptimWrapper
from mmengine.runner import checkpoint as upstream
from mmengine.runner import find_latest_checkpoint

from mmdd.apis import train
from mmdd.engine.hooks.resume_hook import random_state, set_random_state
from mmdd.utils.checkpoint import read_checkpoint, unsafe_names, weights_of
from mmdd.utils.compat import setup
from mmdd.utils.plain_types import UnsafeFileError


def same(a, b):
    """Whether two contents of checkpoints are equal, types included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == 'f')
    if isinstance(a, HistoryBuffer):
        return a.max_length == b.max_length and all(map(same, a.data, b.data))
    return a == b or (a != a and b != b)


def test_all_that_a_runner_may_save(tmp_path):
    content = dict(
        meta=dict(epoch=1, iter=3, cfg='model = dict()', seed=0, dataset_meta=dict(
            classes=('a', 'b'), palette=np.arange(6, dtype=np.uint8).reshape(2, 3),
            more=ConfigDict(a=dict(b=[1])))),
        state_dict=OrderedDict(w=torch.arange(3.)),
        message_hub=dict(
            log_scalars=OrderedDict({'train/loss': HistoryBuffer([1., 2.], [1, 4], 9),
                                     'empty': HistoryBuffer()}),
            runtime_info=OrderedDict(best=np.float64(.5), iter=np.int64(4)),
            resumed_keys=OrderedDict({'train/loss': True})),
        optimizer=dict(state={0: dict(step=torch.tensor(2.), exp_avg=torch.ones(3))},
                       param_groups=[dict(lr=.1, betas=(.9, .99), params=[0])]),
        param_schedulers=[dict(last_step=3, _last_value=[.1])], progress=random_state())
    for legacy in (False, True):
        path = str(tmp_path / f'{legacy}.pth')
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        found = read_checkpoint(path)
        assert same(found, content) and unsafe_names(path) == []
    drawn = random.random(), np.random.rand()
    set_random_state(found['progress'])
    assert (random.random(), np.random.rand()) == drawn


class Watch(Hook):
    """What a Runner has before its first update."""

    def before_train_iter(self, runner, **_):
        if not hasattr(self, 'hub'):
            self.iter = runner.iter
            self.hub = copy.deepcopy(runner.message_hub.state_dict())
            self.optimizer = copy.deepcopy(runner.optim_wrapper.state_dict())
            self.schedulers = copy.deepcopy([s.state_dict() for s in runner.param_schedulers])
            self.weights = copy.deepcopy(runner.model.state_dict())


@pytest.mark.parametrize('job', [tiny.classifier_job, tiny.detector_job, tiny.segmentor_job])
def test_stock_runners_save_load_and_resume(digits, tmp_path, job):
    cfg = job(digits, max_iters=2)
    cfg['optim_wrapper'] = dict(type='OptimWrapper', optimizer=dict(
        type='SGD', lr=1e-3, momentum=.9))
    cfg['param_scheduler'] = [dict(type='MultiStepLR', milestones=[1], by_epoch=False)]
    train(copy.deepcopy(cfg), str(tmp_path))
    path = find_latest_checkpoint(str(tmp_path))
    saved = torch.load(path, weights_only=False)
    assert same(read_checkpoint(path), saved)
    assert saved['message_hub']['log_scalars']['train/loss'].data[0].shape == (2, )
    cfg['train_cfg']['max_iters'] = 3
    hook = Watch()
    assert train(cfg, str(tmp_path), resume=True, hooks=[hook]).iter == 3
    assert hook.iter == 2 and same(dict(hook.weights), dict(saved['state_dict']))
    assert len(hook.optimizer['state']) > 10 and same(hook.optimizer, saved['optimizer'])
    assert same(hook.schedulers, saved['param_schedulers'])
    logs, known = hook.hub['log_scalars'], saved['message_hub']['log_scalars']
    assert all(same(logs[key], known[key]) for key in known if key.startswith('train/loss'))


@pytest.mark.parametrize('options', [
    dict(), dict(_use_new_zipfile_serialization=False), dict(pickle_protocol=4)])
def test_a_command_is_not_run(hostile, options):
    path = str(hostile.folder / 'a.pth')
    torch.save(dict(state_dict=dict(w=torch.ones(1)), note=hostile.command()), path, **options)
    text = hostile.check_refused(path, read_checkpoint, path)
    assert f'python tools/convert_checkpoint.py {path} OUT --trust' in text
    assert 'posix.system' in unsafe_names(path)


def test_a_bare_pickle_is_not_run(hostile):
    path = hostile.pickle('a.pth')
    hostile.check_refused(path, read_checkpoint, path)


def test_names_of_a_file_make_no_lines(tmp_path):
    path = tmp_path / 'a.pth'
    name = 'x\nerror: \x1b[31m' + 'y' * 200
    path.write_bytes(b'\x80\x04\x8c\x02os' + b'\x8c' + bytes([len(name)]) + name.encode()
                     + b'\x93.')
    with pytest.raises(UnsafeFileError, match='it asks for os.x error:  .31my+, which') as caught:
        read_checkpoint(str(path))
    assert str(caught.value).isprintable() and 'y' * 80 not in str(caught.value)


def test_other_libraries_cannot_add_to_the_list(hostile, monkeypatch):
    """What they allow for all of torch is not allowed here, and still theirs afterwards."""
    import os
    torch.serialization.add_safe_globals([(os.system, 'posix.system'), torch.nn.Linear])
    before = set(torch.serialization.get_safe_globals())
    path = str(hostile.folder / 'a.pth')
    torch.save(dict(state_dict=torch.nn.Linear(1, 1)), path)
    try:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
        with pytest.raises(UnsafeFileError, match='torch.nn.modules.linear.Linear'):
            read_checkpoint(path)
        path = hostile.checkpoint()
        hostile.check_refused(path, read_checkpoint, path)
        assert set(torch.serialization.get_safe_globals()) == before
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(
            [entry for entry in before if entry not in (
                torch.nn.Linear, (os.system, 'posix.system'))])


def test_a_log_brings_no_methods(tmp_path, monkeypatch):
    path = str(tmp_path / 'a.pth')
    with monkeypatch.context() as patch:
        patch.setitem(HistoryBuffer._statistics_methods, 'mean', OrderedDict)
        torch.save(dict(message_hub=dict(log_scalars=dict(a=HistoryBuffer([3.], [1])))), path)
    log = read_checkpoint(path)['message_hub']['log_scalars']['a']
    assert log.statistics('mean') == 3. and not hasattr(log, 'statistics_methods')


class Attribute:
    """Unpickled, it takes an attribute of what a file may name."""

    def __reduce__(self):
        return getattr, (OrderedDict, 'fromkeys')


@pytest.mark.parametrize('value, asked', [
    (np.array([None]), "numpy arrays of type 'O8'"), (np.zeros(1, 'f4,i4'), "of type 'V8'"),
    (Attribute(), 'builtins.getattr'), (torch.nn.ReLU(), 'torch.nn.modules.activation.ReLU')])
def test_other_types_are_named(tmp_path, value, asked):
    path = str(tmp_path / 'a.pth')
    torch.save(dict(value=value), path)
    with pytest.raises(UnsafeFileError, match=f'a.pth: not loaded, it asks for .*{asked}'):
        read_checkpoint(path)


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 truncated'])
def test_what_is_no_checkpoint(tmp_path, content):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='a.pth is not a readable checkpoint') as caught:
        read_checkpoint(str(path))
    assert '\n' not in str(caught.value) and not isinstance(caught.value, UnsafeFileError)
    with pytest.raises(FileNotFoundError, match='none.pth'):
        read_checkpoint(str(tmp_path / 'none.pth'))


def test_weights_are_unwrapped():
    w = torch.ones(1)
    for content in (dict(w=w), dict(state_dict={'module.w': w}), dict(model=dict(w=w, n=3))):
        assert list(weights_of(content)) == ['w']
    assert weights_of([w]) == {} and weights_of(dict(meta={})) == {}


@pytest.fixture
def served(hostile, monkeypatch):
    """A hostile checkpoint that every download gets."""
    source = hostile.checkpoint('served.pth')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(hostile.folder / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file',
                        lambda url, path, **_: shutil.copyfile(source, path))
    monkeypatch.setattr(upstream, 'get_external_models', lambda: dict(
        web='https://x.org/a/web.pth', own='own.pth'))
    monkeypatch.setattr(upstream, '_get_mmengine_home', lambda: str(hostile.folder))
    monkeypatch.setattr(upstream, 'get_mmcls_models', lambda: dict(net='http://x.org/net.pth'))
    monkeypatch.setattr(upstream, 'get_torchvision_models', lambda: dict(r='http://x.org/r.pth'))
    hostile.checkpoint('own.pth')
    return hostile


@pytest.mark.parametrize('name, file', [
    ('http://x.org/b.pth?x=1', 'hub/checkpoints/b.pth'), ('https://x.org/c.pth', 'c.pth'),
    ('torchvision://r', 'checkpoints/r.pth'), ('modelzoo://r', 'checkpoints/r.pth'),
    ('mmcls://net', 'net.pth'), ('open-mmlab://web', 'web.pth'), ('openmmlab://web', 'web.pth'),
    ('open-mmlab://own', 'own.pth')])
def test_every_scheme_of_mmengine_is_safe(served, name, file):
    served.check_refused(file, upstream.load_checkpoint, torch.nn.Linear(1, 1), name)


@pytest.mark.parametrize('name', ['s3://b/a.pth', 'a:s3://b/a.pth', 'petrel://a', 'pavi://a'])
def test_stores_that_are_not_read(name):
    with pytest.raises(ValueError, match=f'{name}: checkpoints are not read from this store'):
        upstream._load_checkpoint(name)


def test_no_scheme_is_left_to_mmengine():
    loaders = {loader.__module__ for prefix, loader in upstream.CheckpointLoader._schemes.items()
               if loader.__name__ not in ('load_from_torchvision', 'load_from_mmcls')}
    assert loaders == {'mmdd.utils.compat'}
    assert upstream.load_from_http.__module__ == 'mmdd.utils.compat'


@pytest.mark.parametrize('strategy', ['cos', 'linear'])
def test_a_one_cycle_training_is_resumed(tmp_path, strategy):
    """Its schedule holds a function, which stays out of the file."""
    setup()
    rates = []

    def optimizer():
        return OptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.))

    def schedule(wrapper):
        return OneCycleLR(wrapper, eta_max=1., total_steps=8, anneal_strategy=strategy)
    wrapper, other_wrapper = optimizer(), optimizer()
    first, again = schedule(wrapper), schedule(other_wrapper)
    for _ in range(3):
        first.step()
    file = tmp_path / 'state.pth'
    torch.save(dict(param_schedulers=[first.state_dict()], state_dict={}), file)
    again.load_state_dict(read_checkpoint(str(file))['param_schedulers'][0])
    other_wrapper.load_state_dict(wrapper.state_dict())
    for _ in range(4):
        first.step()
        again.step()
        rates.append((wrapper.get_lr()['lr'][0], other_wrapper.get_lr()['lr'][0]))
    assert all(rate == same for rate, same in rates) and len(set(rates)) == 4
