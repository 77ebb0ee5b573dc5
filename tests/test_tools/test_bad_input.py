"""Bad input to tools/distill.py: one clear line, a failing exit code, nothing lost."""
import os
import os.path as osp
import re
import runpy
import shutil
import sys

import processes
import pytest
import torch
from mmengine.config import Config
from tiny import digit_scenes, distill_job

from mmdd.datasets.checks import open_real_set

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
TOOL = osp.join(ROOT, 'tools', 'distill.py')


@pytest.fixture
def job(tmp_path):
    """A job that would run, in a folder of its own."""
    root = tmp_path / 'real'
    digit_scenes(root)
    return Job(tmp_path, root)


class Job:
    """A config that a test spoils, and the command line."""

    def __init__(self, folder, root) -> None:
        self.folder = folder
        self.voc = root / 'VOC2007'
        self.work_dir = folder / 'work'
        self.cfg = Config(distill_job(root))

    def write(self) -> str:
        """The config as a file."""
        path = self.folder / 'job.py'
        path.write_text(self.cfg.pretty_text)
        return str(path)

    def image(self):
        """Files of the first training image."""
        name = (self.voc / 'ImageSets/Main/train.txt').read_text().split()[0]
        return self.voc / f'JPEGImages/{name}.jpg', self.voc / f'Annotations/{name}.xml'

    def error(self, *options, config=None, work_dir=None) -> str:
        """Run the tool and return the line it ends with."""
        argv = [TOOL, config or self.write(), '--work-dir', str(work_dir or self.work_dir)]
        before, sys.argv = sys.argv, argv + list(options)
        try:
            with pytest.raises(SystemExit) as info:
                runpy.run_path(TOOL, run_name='__main__')
        finally:
            sys.argv = before
        message = info.value.code
        assert isinstance(message, str) and message.startswith('error: ')
        assert '\n' not in message and len(message) < 700
        assert not (self.work_dir / 'proxy_train').exists(), 'the proxy was trained in vain'
        assert not (self.work_dir / 'distilled' / 'manifest.json').exists()
        return message


def rewrite(path, pattern, text):
    """Replace the first match in a file."""
    path.write_text(re.sub(pattern, text, path.read_text(), count=1))


# Config keys and components


def spoil_top_level(cfg):
    cfg.train_dataloder = cfg.pop('train_dataloader')


def spoil_model(cfg):
    cfg.model.lable_sampler = dict(type='RandomLabelSampler')


def spoil_prompter(cfg):
    cfg.model.prompter.backgruond = 'on grass'


def spoil_hook(cfg):
    cfg.custom_hooks[0].scael = 3.


def spoil_loop(cfg):
    cfg.train_cfg.max_round = 3


def spoil_dataset(cfg):
    cfg.train_dataloader.dataset.anno_file = 'x.txt'


def spoil_type(cfg):
    cfg.model.prompter.type = 'AnotationPrompter'


def spoil_range(cfg):
    cfg.model.refiners[0].threshold = 85


def spoil_hook_type(cfg):
    cfg.custom_hooks[0].type = 'TaskGuidance'


def spoil_views(cfg):
    cfg.custom_hooks[0].views = dict(type='RandomViews', shfit=.1)


def spoil_range_of_views(cfg):
    cfg.custom_hooks[0].views = dict(type='RandomViews', shift=8)


def spoil_step(cfg):
    cfg.custom_hooks[0].step = 'relativ'


def spoil_kind_of_scheduler(cfg):
    cfg.model.diffusion.scheduler.type = 'FlowMatchEulerDiscreteScheduler'


def spoil_scheduler(cfg):
    cfg.model.diffusion.scheduler.type = 'DDIM'


@pytest.mark.parametrize('spoil, words', [
    (spoil_scheduler, ["scheduler.type 'DDIM' is no scheduler of diffusers"]),
    (spoil_kind_of_scheduler, ['FlowMatchEulerDiscreteScheduler is for flow matching',
                               'supported are', 'DDIMScheduler']),
    (spoil_views, ['custom_hooks[0].views.shfit', "'shift'"]),
    (spoil_range_of_views, ['custom_hooks[0].views.shift', 'at most 1', '8']),
    (spoil_step, ['step must be one of', "'relativ'"]),
    (spoil_top_level, ["unknown config key 'train_dataloder'", "'train_dataloader'"]),
    (spoil_model, ['model.lable_sampler', "'label_sampler'"]),
    (spoil_prompter, ['model.prompter.backgruond', "'background'"]),
    (spoil_hook, ['custom_hooks[0].scael', "'scale'"]),
    (spoil_loop, ['train_cfg.max_round', "'max_rounds'"]),
    (spoil_dataset, ['train_dataloader.dataset.anno_file', "'ann_file'"]),
    (spoil_type, ['model.prompter', "'AnotationPrompter'", "'AnnotationPrompter'"]),
    (spoil_range, ['model.refiners[0].threshold', 'at most 1', '85']),
    (spoil_hook_type, ['custom_hooks[0]', "'TaskGuidance'", "'TaskGuidanceHook'"]),
])
def test_config(job, spoil, words):
    spoil(job.cfg)
    message = job.error()
    assert all(word in message for word in words), message


@pytest.mark.parametrize('option, words', [
    ('modle.seed=1', ['modle', "'model'"]),
    ('model.sed=1', ['model.sed', "'seed'"]),
    ('train_cfg.budget.nn=3', ['train_cfg.budget.nn', 'Total']),
])
def test_cfg_options(job, option, words):
    message = job.error('--cfg-options', option)
    assert all(word in message for word in words), message


def test_missing_config(job):
    assert 'nowhere.py not found' in job.error(config=str(job.folder / 'nowhere.py'))


def test_syntax_error(job):
    path = job.folder / 'broken.py'
    path.write_text('model = dict(type=\n')
    message = job.error(config=str(path))
    assert 'broken.py' in message and 'SyntaxError' in message


# The real set and the budget


def test_empty_set(job):
    (job.voc / 'ImageSets/Main/train.txt').write_text('')
    assert 'the real set, or a part of it, is empty' in job.error()


def test_missing_list(job):
    job.cfg.train_dataloader.dataset.ann_file = 'VOC2007/ImageSets/Main/all.txt'
    message = job.error()
    assert 'all.txt' in message and 'ann_file' in message


def test_box_outside(job):
    _, xml = job.image()
    rewrite(xml, r'<xmax>\d+</xmax>', '<xmax>900</xmax>')
    message = job.error()
    assert xml.name in message and 'exceeds the 32x32 image' in message


def test_objects_of_other_classes_are_passed_over(job, monkeypatch):
    """As mmdet does, but not in silence; a class that looks misspelt is an error."""
    said = []
    monkeypatch.setattr('mmdd.datasets.formats.voc.print_log',
                        lambda text, *_, **__: said.append(text))
    _, xml = job.image()
    rewrite(xml, r'<name>\d</name>', '<name>zebra</name>')
    dataset = open_real_set(job.cfg.train_dataloader.dataset)
    line, = said
    assert '1 of 30 objects are of classes that' in line and line.endswith('(zebra 1)')
    assert sum(len(dataset.get_data_info(i)['instances']) for i in range(len(dataset))) == 29
    classes = job.cfg.train_dataloader.dataset.metainfo.classes
    job.cfg.train_dataloader.dataset.metainfo.classes = (*classes, 'zebras')
    assert ("no object is of class 'zebras', but 1 are of class 'zebra', which is unknown to the "
            'dataset') in job.error()


def test_unknown_class_everywhere(job):
    """Stock mmdet drops every image here; the message is still about the class."""
    job.cfg.train_dataloader.dataset.metainfo.classes = ('zebra', )
    job.cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=True)
    assert 'all objects are of classes unknown to the dataset' in job.error()


def test_classes_of_the_proxy(job):
    job.cfg.train_dataloader.dataset.metainfo.classes = tuple('1234567890')
    message = job.error()
    assert ("the proxy has the classes of the real set in another order: class 0 is '0' there and "
            "'1' in the real set; names and order must agree") in message


def test_broken_annotation(job):
    _, xml = job.image()
    xml.write_text('<annotation><object>')
    message = job.error()
    assert xml.name in message and 'cannot be read as a VOC annotation' in message


def test_missing_annotation(job):
    _, xml = job.image()
    xml.unlink()
    message = job.error()
    assert xml.name in message and 'annotation is missing' in message


def test_truncated_image(job):
    image, _ = job.image()
    image.write_bytes(image.read_bytes()[:300])
    message = job.error()
    assert image.name in message and 'cannot be read as an image' in message


def test_missing_image(job):
    image, _ = job.image()
    image.unlink()
    message = job.error()
    assert image.name in message and 'image is missing' in message


@pytest.mark.parametrize('num, words', [
    (0, 'train_cfg.budget.n must be a whole number, at least 1, got 0'),
    (13, 'Total(n=13): the budget is 13 images, more than the real set has (12); lower it')])
def test_budget(job, num, words):
    assert words in job.error('--cfg-options', f'train_cfg.budget.n={num}')


# Weights


@pytest.fixture
def weights(job):
    """A diffusers folder in which nothing can be loaded but everything is there."""
    from safetensors.torch import save_file
    folder = job.folder / 'sd'
    for name in ('unet', 'vae', 'text_encoder'):
        (folder / name).mkdir(parents=True)
        save_file(dict(a=torch.zeros(64)), str(folder / name / 'model.safetensors'))
    for name in ('scheduler', 'tokenizer'):
        (folder / name).mkdir()
        (folder / name / 'config.json').write_text('{}')
    job.cfg.model.diffusion = dict(type='mmdd.StableDiffusion', pretrained=str(folder))
    return folder


def test_missing_weights(job):
    job.cfg.model.diffusion = dict(type='mmdd.StableDiffusion', pretrained='./nowhere/sd')
    message = job.error()
    assert "no diffusion weights at './nowhere/sd'" in message


def test_incomplete_weights(job, weights):
    shutil.rmtree(weights / 'vae')
    message = job.error()
    assert osp.join(str(weights), 'vae') in message and 'safetensors' in message


def test_truncated_weights(job, weights):
    file = weights / 'unet' / 'model.safetensors'
    file.write_bytes(file.read_bytes()[:100])
    message = job.error()
    assert str(file) in message and 'cannot be read as safetensors' in message


def test_corrupt_proxy(job):
    checkpoint = job.folder / 'proxy.pth'
    checkpoint.write_bytes(b'no checkpoint')
    job.cfg.model.proxy.checkpoint = str(checkpoint)
    message = job.error()
    assert str(checkpoint) in message and 'move it away' in message
    assert checkpoint.read_bytes() == b'no checkpoint'


def test_proxy_of_another_model(job):
    checkpoint = job.folder / 'proxy.pth'
    torch.save(dict(meta={}, state_dict=dict(a=torch.zeros(1))), checkpoint)
    job.cfg.model.proxy.checkpoint = str(checkpoint)
    assert str(checkpoint) in job.error()


# Folders


def test_file_in_place_of_work_dir(job):
    job.work_dir.write_text('mine')
    path = str(job.work_dir)
    message = job.error(work_dir=path)
    assert path in message and '--work-dir' in message
    assert job.work_dir.read_text() == 'mine'


@pytest.mark.skipif(not osp.isdir('/proc'), reason='no folder that even root cannot write')
def test_unwritable_work_dir(job):
    message = job.error(work_dir='/proc/mmdd')
    assert '/proc/mmdd cannot be written' in message and '--work-dir' in message


def test_foreign_output_folder(job):
    folder = job.work_dir / 'distilled'
    folder.mkdir(parents=True)
    (folder / 'thesis.txt').write_text('mine')
    message = job.error()
    assert str(folder) in message and 'nothing was changed' in message
    assert os.listdir(folder) == ['thesis.txt']
    assert (folder / 'thesis.txt').read_text() == 'mine'


def test_exit_code_and_last_line(job):
    """In a process of its own: exit code 1, the error is the last line."""
    (job.voc / 'ImageSets/Main/train.txt').write_text('')
    started = processes.Started(TOOL, job.write(), '--work-dir', job.work_dir)
    assert started.wait() == 1
    assert started.output.strip().splitlines()[-1].startswith('error: the real set, or a part')
    assert 'Traceback' not in started.output
