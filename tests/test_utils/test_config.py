"""Finding, loading and fingerprinting configs."""
import multiprocessing
import os
import os.path as osp
import pickle
import subprocess
import sys

import pytest
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from mmdd.utils.config import (
    fingerprint,
    import_custom_modules,
    load_config,
    merge_options,
    plain,
)
from mmdd.utils.paths import resolve_path

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))

BASE = dict(
    model=dict(type='A', widths=(1, 2)), optim_wrapper=dict(lr=0.1), work_dir='a', resume=False,
    default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval=1)))


def test_paths_resolve_to_the_working_directory_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').mkdir()
    assert resolve_path('configs') == 'configs'
    assert osp.isfile(resolve_path('configs/_base_/default_runtime.py'))
    assert resolve_path('mmdd::registry.py').endswith(osp.join('mmdd', 'registry.py'))
    assert resolve_path('mmdd::unidd/convnet_digits_ipc10.py').endswith(
        osp.join('configs', 'unidd', 'convnet_digits_ipc10.py'))
    assert resolve_path(str(tmp_path)) == str(tmp_path)


def test_a_missing_path_names_what_was_tried():
    with pytest.raises(FileNotFoundError, match=r'^no/such.py not found; tried no/such.py, /'):
        resolve_path('no/such.py')


def test_loading_copies(tmp_path):
    source = Config(BASE)
    load_config(source).model.type = 'B'
    load_config(BASE).model.type = 'B'
    assert source.model.type == 'A' and BASE['model']['type'] == 'A'
    Config(BASE).dump(str(tmp_path / 'x.py'))
    assert load_config(str(tmp_path / 'x.py')).optim_wrapper.lr == 0.1


def test_options_change_a_config():
    cfg = Config(dict(model=dict(type='A'), custom_hooks=[dict(type='B', every=1)]))
    merge_options(cfg, {'model.depth': 3, 'custom_hooks.0.every': 2, 'randomness.seed': 1})
    assert cfg.to_dict() == dict(
        model=dict(type='A', depth=3), custom_hooks=[dict(type='B', every=2)],
        randomness=dict(seed=1))


@pytest.mark.parametrize('key, words', [
    ('modle.depth', "--cfg-options modle.depth: the config has no 'modle'; did you mean 'model'"),
    ('custom_hooks.7.every', 'custom_hooks.7.every: there is no such place .Index 7 exceeds'),
    ('model.type.name', 'model.type.name: there is no such place'),
])
def test_an_option_without_a_place_is_named(key, words):
    cfg = Config(dict(model=dict(type='A'), custom_hooks=[dict(type='B', every=1)]))
    with pytest.raises(ValueError, match=words):
        merge_options(cfg, {key: 1})


def test_modules_of_an_option_are_imported(tmp_path, monkeypatch):
    (tmp_path / 'named_by_option.py').write_text('')
    monkeypatch.syspath_prepend(str(tmp_path))
    merge_options(Config(BASE), {'custom_imports': dict(imports=['named_by_option'])})
    assert 'named_by_option' in sys.modules


def test_other_packages_configs_load():
    cfg = load_config('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py')
    assert cfg.model.roi_head.bbox_head.num_classes == 20


def test_a_broken_config_is_one_line(tmp_path):
    path = tmp_path / 'broken.py'
    path.write_text('model = dict(\n')
    with pytest.raises(ValueError, match='broken.py cannot be read as a config') as caught:
        load_config(str(path))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('text, words', [
    ("_base_ = 'gone.py'\n", r'cannot be read as a config: .*gone.py not found$'),
    ("custom_imports = dict(imports=['no_such_module'])\n",
     r"custom modules from \{'imports': \['no_such_module'\]\} \(.*no_such_module.*\)$")])
def test_what_a_config_lacks_is_named_with_the_config(tmp_path, text, words):
    path = tmp_path / 'lacking.py'
    path.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as caught:
        load_config(str(path))
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('change', [
    dict(work_dir='b'), dict(resume=True), dict(launcher='pytorch'), dict(log_level='ERROR'),
    dict(env_cfg=dict(cudnn_benchmark=True)), {'default_hooks.logger.interval': 9},
    {'model.widths': [1, 2]}])
def test_fingerprint_ignores_what_does_not_change_the_result(change):
    cfg = Config(BASE)
    cfg.merge_from_dict(change)
    assert fingerprint(cfg) == fingerprint(BASE)


@pytest.mark.parametrize('change', [
    {'optim_wrapper.lr': 0.2}, {'model.widths': (1, 3)}, {'default_hooks.checkpoint.interval': 2},
    dict(randomness=dict(seed=1))])
def test_fingerprint_sees_what_does(change):
    cfg = Config(BASE)
    cfg.merge_from_dict(change)
    assert fingerprint(cfg) != fingerprint(BASE)


def test_fingerprint_does_not_depend_on_the_order_of_keys():
    assert fingerprint(dict(reversed(BASE.items()))) == fingerprint(BASE)
    assert len(fingerprint(BASE)) == 64


def test_a_class_as_type_becomes_its_name():
    """MMEngine builds from both and writes down the name alone."""
    def local():
        pass

    given = dict(param_scheduler=[dict(type=PARAM_SCHEDULERS.get('LinearLR'), end=5)])
    name = 'mmengine.optim.scheduler.lr_scheduler.LinearLR'
    for found in map(load_config, (given, Config(given))):
        assert found.param_scheduler[0].type == name and name in found.pretty_text
        assert PARAM_SCHEDULERS.get(name) is PARAM_SCHEDULERS.get('LinearLR')
    assert load_config(dict(a=dict(type=local))).a.type is local


def test_a_config_inside_of_a_config_becomes_a_dict():
    inner = Config(dict(model=dict(widths=(1, 2))))
    outer = Config(BASE)
    outer.model.proxy = dict(cfg=inner, parts=[inner, 'a.py'])
    for found in (load_config(outer), load_config(dict(model=outer.model))):
        proxy = found.model.proxy
        assert proxy.cfg == dict(model=dict(widths=(1, 2))) == proxy.parts[0]
        assert not isinstance(proxy.cfg, Config) and not isinstance(proxy.parts[0], Config)
        assert proxy.parts[1] == 'a.py' and 'Config (' not in found.pretty_text
    assert outer.model.proxy.cfg is inner  # what was passed stays
    assert isinstance(load_config(BASE).model.widths, tuple)


def test_modules_beside_a_config_are_found_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'elsewhere/my_method'
    folder.mkdir(parents=True)
    name = 'module_beside_a_config'
    (folder / f'{name}.py').write_text('VALUE = 7')
    (folder / 'my_config.py').write_text(f'custom_imports = dict(imports=[{name!r}])')
    monkeypatch.setattr(sys, 'path', list(sys.path))
    before = list(sys.path)
    cfg = load_config('elsewhere/my_method/my_config.py')
    # It is left last, for the processes that are started to work on the config.
    path = before + [str(folder)]
    assert sys.modules.pop(name).VALUE == 7 and sys.path == path
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        assert pool.apply(eval, [f'__import__({name!r}).VALUE']) == 7
    # A config that another process has read.
    import_custom_modules(pickle.loads(pickle.dumps(cfg)))
    assert sys.modules.pop(name).VALUE == 7 and sys.path == path
    (folder / 'my_config.py').write_text("custom_imports = dict(imports=['no_such_module'])")
    with pytest.raises(ValueError, match='no_such_module') as caught:
        load_config(str(folder / 'my_config.py'))
    assert '\n' not in str(caught.value) and sys.path == path


def test_a_config_outside_of_the_repository_inherits_from_mmdd(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text(
        "_base_ = ['mmdd::_base_/diffusions/digits_sd.py',\n"
        "          'mmdet::_base_/schedules/schedule_1x.py']\n"
        'model = dict(diffusion=dict(steps=2))')
    cfg = load_config('mine.py')
    assert cfg.model.diffusion == dict(
        type='StableDiffusion', pretrained='mmdd::priors/digits-sd', steps=2, cfg_scale=4.0)
    assert cfg.optim_wrapper.optimizer.type == 'SGD'
    (tmp_path / 'mine.py').write_text("_base_ = 'mmdd::nothing.py'")
    with pytest.raises((ValueError, FileNotFoundError), match='nothing.py not found'):
        load_config('mine.py')


def test_the_name_with_its_folder_is_corrected():
    with pytest.raises(FileNotFoundError, match=r'the fix: leave configs/ out, mmdd::unidd/x.py$'):
        resolve_path('mmdd::configs/unidd/x.py')


PLAIN = """
import mmdd
from mmengine.config import Config
name = 'mmdd::unidd/faster-rcnn_voc_1pct.py'
open('mine.py', 'w').write(f'_base_ = {name!r}')
for cfg in Config.fromfile(name), Config.fromfile('mine.py'):
    print(cfg.model.type, cfg.model.get('_scope_'), cfg.train_cfg.budget)
"""


def test_plain_mmengine_finds_configs_once_mmdd_is_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', PLAIN], cwd=tmp_path, text=True, capture_output=True,
        env=dict(os.environ, PYTHONPATH=ROOT), check=True)
    first, second = done.stdout.splitlines()
    assert first == second and first.startswith('UniDD None ') and 'Ratio' in first


def test_package_configs_load_without_pkg_resources(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pkg_resources', None)
    from mmengine.hub import get_config
    assert get_config('mmdet::_base_/schedules/schedule_1x.py').optim_wrapper.optimizer.lr == 0.02
    with pytest.raises(ModuleNotFoundError, match='mmocr is not installed'):
        get_config('mmocr::a/b.py')


def test_a_function_counts_by_its_name():
    """Its own text holds an address, which is another one in each process."""
    assert plain([osp.join, len]) == ['posixpath.join', 'builtins.len']
    assert fingerprint(dict(a=osp.join)) == fingerprint(dict(a='posixpath.join'))
