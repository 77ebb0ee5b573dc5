"""From a folder of data to a folder of configs."""
import json
import os
import os.path as osp
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from mmdd.datasets.survey import Record, Survey, describe_survey, read_survey
from mmdd.datasets.survey.masks import pair_name
from mmdd.utils.io import atomic_write_text
from mmdd.utils.paths import tool_command
from . import job_files as texts

SCOPES = dict(cls='mmpretrain', det='mmdet', seg='mmseg')
WORDS = dict(cls='classification', det='detection', seg='segmentation')
PROXIES = dict(cls='ClassifierProxy', det='DetectorProxy', seg='SegmentorProxy')
WRITERS = {'class folders': 'ClassFolderWriter', 'XMLDataset': 'VOCWriter',
           'CocoDataset': 'COCOWriter', 'masks': 'SegMapWriter'}


@dataclass
class Scale:
    """How large networks and trainings are.

    Attributes:
        model: Model fragment of configs/_base_/models.
        size: Side of the training images in pixels.
        batch: Images of an update.
        iters: Updates of the proxy, of a student, and of one on the full set.
        lr: Peak learning rate.
        image_size: Side of the synthetic images.
        gpu: Whether there is a GPU.
    """
    model: str
    size: int
    batch: int
    iters: Tuple[int, int, int]
    lr: float
    image_size: int
    gpu: bool


def init_job(folder: str, out: Optional[str] = None, task: str = 'auto',
             classes: Optional[Sequence[str]] = None, device: str = 'auto',
             seed: int = 0, updates: Optional[int] = None) -> Tuple[str, List[str]]:
    """Look at data and write a job folder: configs, lists of images, a README.

    Args:
        folder: Folder of the data; nothing is written there.
        out: The job folder; ``work_dirs/<name of the data>_job`` if None.
        task: See :func:`read_survey`, as for ``classes`` and ``seed``.
        updates: Updates of the proxy, and of a student on the full set; half of them of one on a
            small set. What suits task and device if None.
        device: 'cpu' or 'cuda': for which the networks are sized; 'auto' takes what is there.

    Returns:
        tuple: the job folder, and lines that say what was found and written.

    Raises:
        FileNotFoundError: If the data is not there.
        ValueError: If the data cannot be used, or the job folder holds something already.
    """
    out = out or osp.join('work_dirs', f'{osp.basename(osp.abspath(folder))}_job')
    if osp.isdir(out) and os.listdir(out):
        raise ValueError(f'{out} is not empty; give another --out, or move it away')
    if _inside(out, folder):
        raise ValueError(f'{out} lies in the data {folder}, where nothing is written; give '
                         f'another --out')
    survey = read_survey(folder, task, classes, seed)
    scale = _scale(survey, device)
    if updates is not None:
        scale = replace(scale, iters=(updates, updates // 2, updates))
    lines = describe_survey(survey)
    files = dict(list_texts(survey), **job_texts(survey, scale, out, lines))
    for name, text in files.items():
        atomic_write_text(osp.join(out, name), text)
    return out, lines + [f'wrote {out}: {", ".join(sorted(files))}']


def _inside(path: str, folder: str) -> bool:
    path, folder = osp.realpath(path), osp.realpath(folder)
    return path == folder or path.startswith(folder + os.sep)


def _scale(survey: Survey, device: str) -> Scale:
    """Sizes that suit the machine and the images."""
    if device == 'auto':
        import torch
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if device not in ('cpu', 'cuda'):
        raise ValueError(f'device {device!r} is none of auto, cpu, cuda')
    side = int(np.median([max(size) for size in survey.sizes.values()]))
    gpu = device == 'cuda'
    if survey.task == 'cls':
        if gpu and side > 96:
            return Scale('resnet18', 224, 64, (5000, 3000, 5000), 5e-4, 256, gpu)
        if side <= 48:
            return Scale('convnet3', 32, 32, (1000, 500, 1000), 2e-3, 256, gpu)
        # An update at 64 pixels takes a CPU four times as long, at 128 sixteen times.
        iters = (1000, 500, 1000) if gpu else (600, 300, 600)
        return Scale('convnet4', 64, 32, iters, 2e-3, 256, gpu)
    if gpu:
        model, batch = (('faster-rcnn_r50', 8) if survey.task == 'det'
                        else ('lraspp_mobilenet-v3-l', 16))
        return Scale(model, 640 if survey.task == 'det' else 512, batch, (6000, 3000, 6000),
                     1e-4 if survey.task == 'det' else 5e-4, 512, gpu)
    model = 'faster-rcnn_r18_small' if survey.task == 'det' else 'fcn_r18_small'
    size = min(256, max(64, side // 32 * 32))
    return Scale(model, size, 4, (600, 300, 600), 5e-4, 256, gpu)


def list_texts(survey: Survey) -> Dict[str, str]:
    """Names and texts of the lists of images, one per split."""
    suffix = 'json' if survey.layout.get('kind') == 'CocoDataset' else 'txt'
    index = {name: i for i, name in enumerate(survey.classes)}
    files = {}
    for split, records in survey.splits.items():
        if suffix == 'json':
            text = coco_text(survey, records)
        elif survey.format == 'class folders':
            text = _lines(f'{r.image} {index[r.labels[0]]}' for r in records)
        elif survey.format == 'masks':
            text = _lines(pair_name(r) for r in records)
        else:
            text = _lines(osp.splitext(osp.basename(r.annotation))[0] for r in records)
        files[f'lists/{split}.{suffix}'] = text
    return files


def _lines(names: Any) -> str:
    return ''.join(f'{name}\n' for name in names)


def coco_text(survey: Survey, records: Sequence[Record]) -> str:
    """Records as COCO annotations; what a COCO file says beyond boxes is kept."""
    ids = {name: i for i, name in enumerate(survey.classes, 1)}
    images: List[Dict[str, Any]] = []
    annotations: List[Dict[str, Any]] = []
    for number, record in enumerate(records, 1):
        image, own = record.extra or ({}, [{}] * len(record.labels))
        assert record.boxes is not None
        height, width = survey.sizes[record.image]
        images.append(dict(image, id=number, file_name=record.image, height=height, width=width))
        for label, box, ignored, entry in zip(record.labels, record.boxes, record.ignored, own):
            if label not in ids:
                continue
            x1, y1, x2, y2 = box
            annotations.append(dict(
                dict(area=(x2 - x1) * (y2 - y1)), **dict(
                    entry, id=len(annotations) + 1, image_id=number, category_id=ids[label],
                    bbox=[x1, y1, x2 - x1, y2 - y1], iscrowd=int(ignored))))
    return json.dumps(dict(images=images, annotations=annotations, categories=[
        dict(id=i, name=name) for name, i in ids.items()])) + '\n'


def job_texts(survey: Survey, scale: Scale, out: str, lines: Sequence[str]) -> Dict[str, str]:
    """Names and texts of the configs and the README."""
    task, kind = survey.task, survey.layout.get('kind', survey.format)
    pipelines = texts.PIPELINES[task]
    second, third = ('val', 'test') if {'val', 'test'} <= set(survey.splits) else (
        survey.measured, survey.measured)
    common = dict(root=repr(f'{survey.folder}/'), classes=_wrapped(survey.classes))
    metrics, factor, evaluators = _metrics(task, kind, second, third)
    proxy, budget = PROXIES[task], _budget(survey)
    trained = dict(lr=f'{scale.lr:g}', task=WORDS[task], metrics=metrics, scale=factor)
    return {
        'data.py': texts.DATA.substitute(
            common, size=(scale.size, scale.size), batch=scale.batch,
            workers=4 if scale.gpu else 0,
            train_pipeline=pipelines['train'], test_pipeline=pipelines['test'],
            train_set=_dataset(survey, 'train'), val_set=_dataset(survey, second),
            test_set=_dataset(survey, third), evaluators=evaluators),
        'real_set.py': texts.REAL_SET.substitute(
            common, train_set=_dataset(survey, 'train'), real_pipeline=pipelines['real']),
        'proxy.py': texts.PROXY.substitute(
            trained, model=scale.model, scope=SCOPES[task], iters=scale.iters[0],
            changes=_model_changes(survey, scale)),
        'protocol.py': texts.PROTOCOL.substitute(
            trained, iters=scale.iters[1], full_iters=scale.iters[2]),
        'unidd.py': texts.UNIDD.substitute(
            task=task, size=scale.image_size, steps=250 if scale.gpu else 25, proxy=proxy,
            budget=budget, writer=WRITERS[kind]),
        'random_coreset.py': texts.RANDOM.substitute(
            task=task, budget=budget, writer=WRITERS[kind]),
        'uniform_coreset.py': texts.UNIFORM,
        'kcenter_coreset.py': texts.BY_FEATURES.substitute(
            kind='KCenterCoreset', size=scale.size, proxy=proxy),
        'herding_coreset.py': texts.BY_FEATURES.substitute(
            kind='HerdingCoreset', size=scale.size, proxy=proxy),
        'README.md': texts.README.substitute(
            name=osp.basename(out), out=shlex.quote(out), survey='\n'.join(lines),
            model=scale.model, iters=scale.iters[0], student_iters=scale.iters[1], budget=budget,
            gpu='' if scale.gpu else ': hours without a GPU',
            **{name: tool_command(name)
               for name in ('distill', 'benchmark', 'browse', 'evaluate')}),
    }


def _wrapped(classes: Sequence[str]) -> str:
    """A tuple of names over lines of at most 98 characters."""
    lines: List[str] = []
    line = '        '
    for name in classes:
        if len(line) + len(repr(name)) + 2 > 98:
            lines, line = lines + [line.rstrip()], '        '
        line += f'{name!r}, '
    return '(\n' + '\n'.join(lines + [line.rstrip()]) + '\n    )'


def _dataset(survey: Survey, split: str) -> str:
    """The fields of a dataset config, but for its pipeline."""
    suffix = 'json' if survey.layout.get('kind') == 'CocoDataset' else 'txt'
    filtered = ('        filter_cfg=dict(filter_empty_gt=True, min_size=1),\n'
                if split == 'train' else '')
    if survey.format == 'class folders':
        kind, prefix, more = 'CustomDataset', "''", ''
    elif survey.format == 'masks':
        images, masks, image_suffix, mask_suffix = survey.layout[split]
        kind = 'BaseSegDataset'
        prefix = f'dict(img_path={images!r}, seg_map_path={masks!r})'
        more = (f'        img_suffix={image_suffix!r},\n'
                f'        seg_map_suffix={mask_suffix!r},\n')
    elif suffix == 'json':
        kind, prefix, more = 'CocoDataset', "dict(img='')", filtered
    else:
        kind, more = 'XMLDataset', filtered
        prefix = f'dict(sub_data_root={survey.layout["root"]!r})'
    return (f"        type='{kind}',\n"
            f"        _scope_='{SCOPES[survey.task]}',\n"
            f'        data_root=data_root,\n'
            f"        ann_file=lists + '{split}.{suffix}',\n"
            f'        data_prefix={prefix},\n'
            f'        metainfo=metainfo,\n'
            f'{more}').rstrip('\n')


def _metrics(task: str, kind: str, second: str, third: str) -> Tuple[str, str, str]:
    """Columns of the report, their factor, and the evaluators of the data config."""
    if task == 'cls':
        return ("top1='accuracy/top1'", '1.',
                "val_evaluator = dict(type='mmpretrain.Accuracy', topk=(1, ))\n"
                'test_evaluator = val_evaluator')
    if task == 'seg':
        return ("mIoU='mIoU'", '1.',
                "val_evaluator = dict(type='mmseg.IoUMetric', iou_metrics=['mIoU'])\n"
                'test_evaluator = val_evaluator')
    if kind == 'XMLDataset':
        thresholds = ', '.join(f'{0.5 + 0.05 * i:.2f}' for i in range(10))
        return ("AP50='pascal_voc/AP50', mAP='pascal_voc/mAP'", '100.',
                f'# mAP is the mean over the ten IoU thresholds of COCO, AP50 the one at 0.5.\n'
                f"val_evaluator = dict(\n    type='mmdd.InProcessVOCMetric',\n"
                f"    metric='mAP',\n    iou_thrs=[{thresholds}],\n    eval_mode='area')\n"
                f'test_evaluator = val_evaluator')
    return ("AP50='coco/bbox_mAP_50', mAP='coco/bbox_mAP'", '100.', '\n'.join(
        f"{slot}_evaluator = dict(\n    type='mmdet.CocoMetric',\n"
        f"    ann_file=lists + '{split}.json',\n    metric='bbox',\n    format_only=False)"
        for slot, split in (('val', second), ('test', third))))


def _model_changes(survey: Survey, scale: Scale) -> str:
    """What the model fragment does not know: classes, and the size of the images."""
    number = len(survey.classes)
    if survey.task == 'det':
        return f'model = dict(roi_head=dict(bbox_head=dict(num_classes={number})))'
    if survey.task == 'seg':
        return (f'model = dict(\n    data_preprocessor=dict(size={(scale.size, scale.size)}),\n'
                f'    decode_head=dict(num_classes={number}))')
    start = ("\n    # ImageNet's weights, downloaded once; init_cfg=None starts from scratch\n"
             "    backbone=dict(init_cfg=dict(type='Pretrained', "
             "checkpoint='torchvision://resnet18')),") if scale.model == 'resnet18' else ''
    return (f'model = dict({start}\n    data_preprocessor=dict(num_classes={number}),\n'
            f'    head=dict(num_classes={number}))')


def _budget(survey: Survey) -> str:
    """Ten images of each class, or five in a hundred, as far as the data reaches."""
    # Images without an object are passed over, see `_dataset`.
    records = [record for record in survey.splits['train'] if record.labels]
    if survey.task == 'cls':
        images = Counter(record.labels[0] for record in records)
        fewest = min(images[name] for name in survey.classes)
        if fewest == 0:
            return f"dict(type='Total', n={min(10, len(records))})"
        return f"dict(type='IPC', n={min(10, fewest)})"
    if len(records) >= 200:
        return "dict(type='Ratio', percent=5)"
    return f"dict(type='Total', n={min(10, len(records))})"
