"""Job folders for data of every format: lists, configs that load and fit each other."""
import json
import os.path as osp
import runpy
import shlex
import sys

import own_data
import pytest
from mmengine.registry import DefaultScope

from mmdd.datasets.checks import open_real_set
from mmdd.engine.distill_job import read_job
from mmdd.engine.parts import parts_of
from mmdd.engine.preflight import check_budget
from mmdd.protocols.protocol import has_validation, read_protocol
from mmdd.protocols.sets import check_job_fits
from mmdd.registry import TASK_UTILS
from mmdd.starter.init_job import init_job
from mmdd.utils.compat import setup
from mmdd.utils.components import check_part
from mmdd.utils.config import load_config

METHODS = ('unidd', 'random_coreset', 'uniform_coreset', 'kcenter_coreset', 'herding_coreset')
FOLDERS = dict(
    cls=lambda root: own_data.class_folders(root, splits=('train', 'val', 'test')),
    voc=own_data.voc, flat=own_data.flat_voc, coco=own_data.roboflow, masks=own_data.masks)


@pytest.fixture(params=FOLDERS)
def made(request, tmp_path):
    """A format, its folder and the job for it."""
    root = FOLDERS[request.param](tmp_path / 'data with blanks')
    before = own_data.files_of(root)
    out, _ = init_job(str(root), str(tmp_path / 'job'))
    assert own_data.files_of(root) == before, 'nothing is written into the data'
    return request.param, root, out


def test_every_config_fits_the_data(made):
    kind, _, out = made
    setup()
    protocol = read_protocol(osp.join(out, 'protocol.py'))
    assert has_validation(protocol) == (kind == 'cls')
    for method in METHODS:
        cfg = read_job(osp.join(out, f'{method}.py'))
        with DefaultScope.overwrite_default_scope('mmdd'):
            for part in parts_of(cfg):
                check_part(*part)
            dataset = open_real_set(cfg.train_dataloader.dataset)
            number = check_budget(TASK_UTILS.build(cfg.train_cfg.budget), dataset,
                                  len(dataset.metainfo['classes']))
        check_job_fits(cfg, read_protocol(cfg))
        assert len(dataset) == dict(cls=12, voc=8, flat=6, coco=8, masks=6)[kind]
        assert number == dict(cls=12, voc=8, flat=6, coco=8, masks=6)[kind]
        assert tuple(dataset.metainfo['classes']) == (
            ('class 0', 'class 1') if kind == 'masks' else own_data.SHAPES)
        assert cfg.train_cfg.writer.type == dict(
            cls='ClassFolderWriter', voc='VOCWriter', flat='COCOWriter', coco='COCOWriter',
            masks='SegMapWriter')[kind]


@pytest.mark.parametrize('device, model', [('cpu', 'faster-rcnn_r18_small'),
                                           ('cuda', 'faster-rcnn_r50')])
def test_networks_are_sized_for_the_machine(tmp_path, device, model):
    root = own_data.voc(tmp_path / 'data')
    out, _ = init_job(str(root), str(tmp_path / 'job'), device=device)
    cfg = load_config(osp.join(out, 'proxy.py'))
    assert f'models/{model}.py' in open(osp.join(out, 'proxy.py')).read()
    assert cfg.model.roi_head.bbox_head.num_classes == 2
    assert cfg.model.backbone.depth == dict(cpu=18, cuda=50)[device]
    assert cfg.param_scheduler[0].total_steps == cfg.train_cfg.max_iters


def test_a_gpu_gets_the_larger_networks(tmp_path):
    for name in own_data.SHAPES:
        for i in range(4):
            own_data.picture(tmp_path / f'photos/{name}/{i}.jpg', (160, 120), i)
    own_data.masks(tmp_path / 'masks')
    for data, part, number in (('photos', 'head', 2), ('masks', 'decode_head', 2)):
        out, _ = init_job(str(tmp_path / data), str(tmp_path / f'{data}_job'), device='cuda')
        cfg = load_config(osp.join(out, 'proxy.py'))
        assert cfg.model[part].num_classes == number
        assert cfg.model.backbone.init_cfg.type == 'Pretrained'
        assert cfg.train_dataloader.num_workers == 4
        assert read_job(osp.join(out, 'unidd.py')).model.diffusion.steps == 250


@pytest.mark.parametrize('side, model, updates', [(48, 'convnet3', 1000), (400, 'convnet4', 600)])
def test_photographs_are_small_on_a_cpu(tmp_path, side, model, updates):
    """An update at 128 pixels would cost sixteen times that at 32."""
    for name in own_data.SHAPES:
        for i in range(4):
            own_data.picture(tmp_path / f'data/{name}/{i}.jpg', (side, side // 2), i)
    out, _ = init_job(str(tmp_path / 'data'), str(tmp_path / 'job'), device='cpu')
    cfg = load_config(osp.join(out, 'proxy.py'))
    assert f'models/{model}.py' in open(osp.join(out, 'proxy.py')).read()
    assert cfg.size == (dict(convnet3=32, convnet4=64)[model], ) * 2
    assert cfg.train_cfg.max_iters == updates


def test_updates_shorten_every_training(tmp_path):
    root = own_data.class_folders(tmp_path / 'data')
    out, _ = init_job(str(root), str(tmp_path / 'job'), device='cpu', updates=100)
    for name, updates in (('proxy', 100), ('protocol', 50)):
        cfg = load_config(osp.join(out, f'{name}.py'))
        assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].total_steps == updates
    assert cfg.protocol.full.train_cfg.max_iters == 100
    with open(osp.join(out, 'README.md')) as f:
        assert '100 updates' in f.read()


def test_coco_lists_keep_polygons_and_renumber(tmp_path):
    root = own_data.roboflow(tmp_path / 'data')
    out, _ = init_job(str(root), str(tmp_path / 'job'))
    with open(osp.join(out, 'lists/val.json')) as f:
        content = json.load(f)
    assert [c['name'] for c in content['categories']] == list(own_data.SHAPES)
    assert [image['file_name'] for image in content['images']] == [
        f'valid/valid{i}.jpg' for i in range(4)]
    assert content['annotations'][1] == dict(
        id=2, image_id=2, category_id=2, bbox=[3, 5, 30, 24], area=720, iscrowd=0,
        segmentation=[[3, 5, 33, 5, 33, 29]])


def test_labels_of_a_list_are_those_of_the_folders(tmp_path):
    root = own_data.class_folders(tmp_path / 'data', splits=('train', 'test'))
    for path in (root / 'test/circle').iterdir():
        path.unlink()
    (root / 'test/circle').rmdir()  # the stock class would call squares 0 there
    out, lines = init_job(str(root), str(tmp_path / 'job'))
    with open(osp.join(out, 'lists/test.txt')) as f:
        assert {line.split()[-1] for line in f} == {'1'}
    assert 'note: test has no image of 1 classes (circle)' in lines


def test_a_job_folder_is_never_written_over(tmp_path):
    root = own_data.class_folders(tmp_path / 'data')
    (tmp_path / 'job').mkdir()
    (tmp_path / 'job/mine.txt').write_text('x')
    with pytest.raises(ValueError, match='job is not empty'):
        init_job(str(root), str(tmp_path / 'job'))
    with pytest.raises(ValueError, match='lies in the data'):
        init_job(str(root), str(root / 'job'))


def test_the_tool(tmp_path, monkeypatch, capsys):
    tool = osp.join(osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))), 'tools/init.py')
    root = own_data.class_folders(tmp_path / 'data')
    out = str(tmp_path / 'job')
    monkeypatch.setattr(sys, 'argv', [tool, str(root), '--out', out])
    runpy.run_path(tool, run_name='__main__')
    assert f'next: python tools/distill.py {out}/unidd.py --dry-run' in capsys.readouterr().out
    with open(osp.join(out, 'README.md')) as f:
        assert f'python tools/distill.py {out}/unidd.py --work-dir {out}/unidd' in f.read()
    monkeypatch.setattr(sys, 'argv', [tool, str(tmp_path / 'nowhere')])
    with pytest.raises(SystemExit, match='error: .*nowhere is no folder'):
        runpy.run_path(tool, run_name='__main__')


def test_commands_of_a_folder_with_blanks_can_be_pasted(tmp_path):
    out = str(tmp_path / 'my job')
    init_job(str(own_data.class_folders(tmp_path / 'data')), out)
    with open(osp.join(out, 'README.md')) as f:
        commands = [line for line in f if line.startswith('python tools/distill.py')]
    assert [shlex.split(command)[2] for command in commands] == [f'{out}/unidd.py'] * 2
