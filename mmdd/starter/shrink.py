"""Jobs and trainings made so small that they run in seconds; what they compute is of no use."""
import copy
import os.path as osp
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmdd.datasets.views import leaf_datasets
from mmdd.engine.auto_batch import AUTO
from mmdd.engine.preflight import build_set_stages
from mmdd.models.diffusions import (
    DiT,
    Flux,
    StableDiffusion,
    StableDiffusion3,
    StableDiffusionXL,
)
from mmdd.models.proxies.base import strip_init_cfg
from mmdd.registry import MODELS
from mmdd.utils.components import class_of, short_name
from mmdd.utils.config import load_config
from .prompt_words import prompt_words

# Images of the real set that are used, at least and of each class; images that are tested.
REAL_IMAGES, PER_CLASS, TEST_IMAGES = 24, 3, 8
# How many images are looked at to find those of every class.
LOOKED_AT = 5000
# Synthetic images without an IPC budget, their side, denoising steps, updates of a training.
IMAGES, SIDE, STEPS, UPDATES = 4, 64, 4, 2
# The longest side that detectors and segmentors see in pixels.
LONGEST = 320
TINY = 'configs/_base_/diffusions/{}.py'
# Settings of a diffusion that its tiny stand-in keeps.
KEPT = ('cfg_scale', 'cfg_channels', 'class_map', 'negative_prompt', 'original_size',
        'crop_top_left', 'zero_empty_prompt', 'embedded_guidance', 'use_t5')
SIZE_KEYS = ('scale', 'scales', 'crop_size', 'size', 'img_scale')
WORK_DIRS = 'work_dirs/'


def shrink_job(cfg: Config, scratch: str) -> Tuple[Config, List[str]]:
    """A distillation job made small, but for its real set.

    Args:
        cfg: See :func:`read_job`; not changed.
        scratch: Folder below which the job is to write.

    Returns:
        tuple: the small job, and what it leaves out, one line each.
    """
    left_out: List[str] = []
    # Laying out the config, for logs, would take a good part of the time.
    cfg = Config(redirect(cfg.to_dict(), scratch), filename=cfg.filename,
                 format_python_code=False)
    model = cfg.model
    if model.get('diffusion') is not None:
        model.diffusion = tiny_diffusion(model.diffusion, prompt_words(cfg))
    kind = class_of(MODELS, model)
    model.update(getattr(kind, 'dry_run_settings', {}))
    if model.get('diffusion') is not None and getattr(kind, 'draws', False):
        model.update(image_size=SIDE, min_box=min(model.get('min_box', 4.), 1.))
    for name in ('proxy', 'judge'):
        network = model.get(name)
        if network is not None and getattr(class_of(MODELS, network), 'trained_by_job', False):
            network.cfg = shrink_training(load_config(network.cfg), scratch).to_dict()
            network.checkpoint = osp.join(scratch, f'{name}.pth')
    if (model.get('prompter') or {}).get('backend') is not None:
        left_out.append('prompts of a vision-language model: prompts are made from the labels')
        model.prompter = dict(type='AnnotationPrompter')
    if model.get('fine_tune') is not None:
        left_out.append('fine-tuning: the prior is sampled as it is')
        model.fine_tune = None
    model.prompt_file = None
    cfg.train_cfg.budget = small_budget(cfg)
    cfg.train_cfg.update(max_rounds=min(2, cfg.train_cfg.get('max_rounds', 3)), reuse=None,
                         out_dir=None, batch_size=small_batch(cfg.train_cfg))
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    shrink_prepare(cfg, scratch)
    cfg.launcher, cfg.log_level = 'none', 'WARNING'
    return cfg, left_out


def small_batch(train_cfg: Mapping[str, Any]) -> int:
    """At most 4 images per batch; so many too where the memory decides."""
    given = train_cfg.get('batch_size', 8)
    return 4 if given == AUTO else min(4, given)


def small_budget(cfg: Config) -> Dict[str, Any]:
    """The fewest images that the set stages of a job can make, per class if its budget is."""
    per_class = short_name(cfg.train_cfg.budget.type) == 'IPC'
    stages = build_set_stages(cfg)
    for number in range(1 if per_class else IMAGES, 100):
        try:
            stages.slots(number)
        except ValueError:  # no whole number of samples
            continue
        return dict(type='IPC' if per_class else 'Total', n=number)
    return copy.deepcopy(cfg.train_cfg.budget.to_dict())


def tiny_diffusion(node: Mapping[str, Any], words: Sequence[str] = ()) -> Dict[str, Any]:
    """Config of a tiny diffusion of the same kind with random weights.

    Args:
        node: Config of the diffusion; one of another kind than mmdd's own is kept.
        words: What its tokenizers know as one token each; other text falls apart into bytes, more
            than a real tokenizer would make of it.
    """
    kind = class_of(MODELS, node)
    names = {StableDiffusionXL: 'tiny_random_xl', StableDiffusion: 'tiny_random',
             DiT: 'tiny_random_dit', StableDiffusion3: 'tiny_random_sd3',
             Flux: 'tiny_random_flux'}
    name = next((name for cls, name in names.items()
                 if isinstance(kind, type) and issubclass(kind, cls)), None)
    if name is None:
        return copy.deepcopy(dict(node))
    tiny = load_config(TINY.format(name)).model.diffusion.to_dict()
    tiny.update({key: node[key] for key in KEPT if key in node}, type=node['type'],
                steps=min(STEPS, node.get('steps', STEPS)))
    for key in tiny:
        if key.startswith('tokenizer'):
            tiny[key] = sorted({*tiny[key], *words})
    if node.get('scheduler') is not None:
        tiny['scheduler'] = dict(tiny['scheduler'], **node['scheduler'])
    if node.get('energy_decoder') is not None:
        blocks = dict(num_encoder_blocks=(1, ) * 4, num_decoder_blocks=(1, ) * 4)
        tiny['energy_decoder'] = dict(
            blocks, encoder_block_out_channels=(8, ) * 4, decoder_block_out_channels=(8, ) * 4)
    return tiny


def shrink_training(cfg: Config, scratch: str) -> Config:
    """A training config of a few updates on a few images, without pretrained weights.

    Args:
        cfg: Training config of any mm* package; not changed.
        scratch: See :func:`shrink_job`.
    """
    cfg = Config(redirect(cfg.to_dict(), scratch), filename=cfg.filename)
    strip_init_cfg(cfg.model)
    if cfg.get('default_scope') in ('mmdet', 'mmseg'):
        scale_down(cfg)
    loader = cfg.train_dataloader
    for key in ('batch_sampler', 'persistent_workers', 'prefetch_factor'):
        loader.pop(key, None)
    loader.update(batch_size=min(2, loader.get('batch_size', 1)), num_workers=0,
                  sampler=dict(type='InfiniteSampler', shuffle=True))
    for leaf in leaf_datasets(loader.dataset):
        leaf['serialize_data'] = False
    test = cfg.get('test_dataloader')
    if test is not None:
        test.update(batch_size=2, num_workers=0, persistent_workers=False)
        test.pop('prefetch_factor', None)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=UPDATES, val_interval=10 * UPDATES)
    cfg.param_scheduler = None
    cfg.default_hooks = dict(cfg.get('default_hooks') or {}, checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=UPDATES, save_optimizer=False))
    cfg.log_processor, cfg.log_level = dict(by_epoch=False), 'WARNING'
    shrink_prepare(cfg, scratch)
    return cfg


def shrink_prepare(cfg: Config, scratch: str) -> None:
    """Shrink the trainings that a config needs first, in place."""
    for node in cfg.get('prepare') or []:
        if short_name(node.type) == 'TrainedCheckpoint':
            node.config = shrink_training(load_config(node.config), scratch).to_dict()
            node.pop('cfg_options', None)


def redirect(node: Any, scratch: str) -> Any:
    """A config whose paths below ``work_dirs`` lie below another folder."""
    if isinstance(node, dict):
        return {key: redirect(value, scratch) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(redirect(value, scratch) for value in node)
    if isinstance(node, str) and node.startswith(WORK_DIRS):
        return osp.join(scratch, node[len(WORK_DIRS):])
    return node


def scale_down(cfg: Config) -> None:
    """Scale the image sizes of a fully convolutional network, in place."""
    nodes = [cfg[f'{name}_dataloader'] for name in ('train', 'test')
             if cfg.get(f'{name}_dataloader') is not None]
    nodes.append(cfg.model.get('data_preprocessor') or {})
    sizes: List[int] = []

    def note(value: int) -> int:
        sizes.append(value)
        return value

    _sizes(nodes, note)
    factor = min(1., LONGEST / max(sizes, default=LONGEST))
    if factor < 1:
        _sizes(nodes, lambda value: max(64, round(value * factor / 32) * 32))


def _sizes(node: Any, change: Callable[[int], int]) -> None:
    """Apply ``change`` to every number of pixels below a config."""
    def changed(value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and value > 1:
            return change(value)
        if isinstance(value, (list, tuple)):
            return type(value)(changed(inner) for inner in value)
        return value
    if isinstance(node, dict):
        for key, value in node.items():
            if key in SIZE_KEYS:
                node[key] = changed(value)
            else:
                _sizes(value, change)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _sizes(value, change)


def cut_dataset(node: Dict[str, Any], choose: Callable[[Any], Sequence[int]]) -> None:
    """Leave a few images of a dataset config, in place.

    Args:
        node: Config of a dataset, possibly nested.
        choose: From a built dataset to indices.
    """
    for leaf in leaf_datasets(node):
        with DefaultScope.overwrite_default_scope(leaf.get('_scope_') or 'mmengine'):
            dataset = DATASETS.build(dict(copy.deepcopy(dict(leaf)), lazy_init=False))
        chosen = sorted(choose(dataset))
        leaf['serialize_data'] = False
        base = leaf.get('indices')
        leaf['indices'] = chosen if base is None or isinstance(base, int) else [
            base[i] for i in chosen]


def evenly(dataset: Any) -> List[int]:
    """A few images from the whole length of a dataset."""
    number = min(TEST_IMAGES, len(dataset))
    return [int(i) for i in np.linspace(0, len(dataset) - 1, number)] if number else []


def spread(dataset: Any, number: int = 0) -> List[int]:
    """A few images of every class, from the whole length of a dataset.

    Args:
        dataset: The dataset.
        number: How many there must be at least, of each class and over all.
    """
    least, each = max(REAL_IMAGES, number), max(PER_CLASS, number)
    counts = np.zeros(len(dataset.metainfo.get('classes') or ()), int)
    chosen: List[int] = []
    order = np.random.RandomState(0).permutation(len(dataset))
    for index in order[:LOOKED_AT if len(dataset) > 20 * LOOKED_AT else None].tolist():
        labels = labels_of(dataset.get_data_info(index))
        if len(chosen) >= least and (labels is None or (counts >= each).all()):
            break
        if (labels is None or any(counts[label] < each for label in labels)
                or labels and len(chosen) < least):
            chosen.append(index)
            counts[labels or []] += 1
    return chosen


def labels_of(info: Mapping[str, Any]) -> Optional[List[int]]:
    """Classes in an image by its annotation; None where only its mask tells."""
    if 'gt_label' in info:
        return np.atleast_1d(info['gt_label']).tolist()
    if 'instances' not in info:
        return None
    return sorted({int(instance['bbox_label']) for instance in info['instances']
                   if not instance.get('ignore_flag')})
