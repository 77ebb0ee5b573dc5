"""Dataset fragments, student's and distiller's view, on tiny data in their layout."""
import io
import os.path as osp

import numpy as np
import pytest
import tiny
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from mmdd.datasets import COCOWriter, SegMapWriter, annotations_from_batch
from mmdd.datasets.checks import open_real_set
from mmdd.datasets.class_names import class_names, class_wnids, table_of
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.config import load_config

FOLDER = osp.join(osp.dirname(__file__), '../../configs/_base_/datasets')
WNID_SETS = ('imagenet', 'imagenet100', 'imageidc', 'imagenette', 'imagewoof', 'imagefruit',
             'imagemeow')
TABLES = dict({f'{name}_cls': name for name in (*WNID_SETS, 'cifar10', 'cifar100',
                                                'tiny_imagenet')},
              voc2012_seg='voc_seg', coco_det='coco')
VIEWS = (*TABLES, 'digits_cls', 'digits_seg')


def png(size=40):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)).save(
        buffer, format='png')
    return buffer.getvalue()


def class_folders(root, folders, splits=('train', 'val')):
    image = png()
    for split in splits:
        for folder in folders:
            path = root / split / folder / 'a.png'
            path.parent.mkdir(parents=True)
            path.write_bytes(image)


def samples(num, classes):
    for i in range(num):
        labels = np.array([classes - 1 - i])
        yield DistilledSample(
            DistillSlot(i, 0, (40, 40), labels), labels=labels,
            image=np.full((40, 40, 3), 9, np.uint8), mask=np.full((40, 40), labels[0], np.uint8),
            bboxes=np.array([[2, 2, 38, 40]], np.float32))


def write_set(writer, root, classes):
    made = list(samples(2, len(classes)))
    for sample in made:
        writer.write(sample, str(root), classes)
    writer.close(made, str(root), classes)


def build(name, root):
    """Write the data that a fragment expects under ``root``."""
    data, table = root / 'data', name.rsplit('_', 1)[0]
    if table == 'digits':
        return tiny.DigitScenes(
            str(data / 'digit_scenes'), dict(train=4, val=2, test=2),
            dict(train=20, val=10, test=10), 32).build()
    if table in WNID_SETS:
        return class_folders(data / table, class_wnids(table))
    if table.startswith('cifar'):
        return class_folders(data / table, class_names(table), ('train', 'test'))
    if table == 'tiny_imagenet':
        class_folders(data / table, class_wnids(table), ('train', ))
        (data / table / 'val/images').mkdir(parents=True)
        (data / table / 'val/images/val_0.JPEG').write_bytes(png())
        (data / table / 'meta').mkdir()
        return (data / table / 'meta/val.txt').write_text('val_0.JPEG 199\n')
    for split in ('train', 'val'):
        if table == 'coco':
            write_set(COCOWriter(f'{split}2017'), data / 'coco', class_names('coco'))
        else:
            write_set(SegMapWriter(split), data / 'VOCdevkit', class_names('voc_seg'))


def rebased(node, root):
    """The config with its data under ``root``."""
    if isinstance(node, dict):
        return {key: rebased(value, root) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(rebased(value, root) for value in node)
    return f'{root}/{node}' if isinstance(node, str) and node.startswith('data/') else node


def read(name, root):
    cfg = load_config(osp.join(FOLDER, f'{name}.py'))
    return type(cfg)(rebased(cfg.to_dict(), root))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Builds the data of a fragment once and gives its root."""
    roots = {}

    def make(name):
        if name not in roots:
            roots[name] = tmp_path_factory.mktemp(name)
            build(name, roots[name])
        return roots[name]
    return make


def class_count(cfg):
    if 'model' not in cfg:  # COCO: mmdet's own models have its classes
        return 80
    if 'head' in cfg.model:
        assert cfg.model.head.num_classes == cfg.model.data_preprocessor.num_classes
        return cfg.model.head.num_classes
    return cfg.model.decode_head.num_classes


@pytest.mark.parametrize('name', VIEWS)
def test_student_view(name, data):
    """Train, val and test sets of stock classes give images; the metric is there."""
    cfg = read(name, data(name))
    for slot in ('train', 'val', 'test'):
        # garbage collection while serializing takes longer than the rest
        node = dict(cfg[f'{slot}_dataloader'].dataset, serialize_data=False)
        dataset = DATASETS.build(node)
        classes = tuple(dataset.metainfo['classes'])
        assert len(classes) == class_count(cfg)
        if name in TABLES:
            assert classes == class_names(TABLES[name])
        item = dataset[len(dataset) - 1]
        assert item['inputs'].ndim == 3 and str(item['inputs'].dtype) == 'torch.uint8'
        assert item['data_samples'] is not None
    with DefaultScope.overwrite_default_scope('mmengine'):
        Evaluator(cfg.val_evaluator), Evaluator(cfg.test_evaluator)
    assert cfg.val_dataloader.sampler.type == 'DefaultSampler'


@pytest.mark.parametrize('name', VIEWS)
def test_distiller_view(name, data):
    """Sound for the checks; the same classes and images as the student's view."""
    root = data(name)
    parts = name.rsplit('_', 1)
    cfg = read(f'{parts[0]}_real_{parts[1]}', root)
    dataset = open_real_set(dict(cfg.train_dataloader.dataset, serialize_data=False))
    student = DATASETS.build(dict(read(name, root).train_dataloader.dataset,
                                  serialize_data=False))
    classes = tuple(dataset.metainfo['classes'])
    assert classes == tuple(student.metainfo['classes'])
    assert [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))] == [
        student.get_data_info(i)['img_path'] for i in range(len(student))]
    found = annotations_from_batch(
        pseudo_collate([dataset[i] for i in range(len(dataset))]), classes)
    assert all(osp.isfile(a.path) for a in found)
    labels = [a.labels.tolist() for a in found]
    if name.endswith('_cls'):
        assert sorted(labels) == sorted([[i] for i in range(len(classes))] * (
            len(found) // len(classes)))
    elif name.startswith('digits'):
        assert all(a.mask.max() == max(a.labels) for a in found)
    else:
        assert labels == [[len(classes) - 1], [len(classes) - 2]]


@pytest.mark.parametrize('view', ['{}_cls', '{}_real_cls'])
@pytest.mark.parametrize('name', [*WNID_SETS[1:], 'cifar10', 'cifar100', 'tiny_imagenet'])
def test_literal_classes(name, view):
    cfg = load_config(osp.join(FOLDER, f'{view.format(name)}.py'))
    assert table_of(cfg.train_dataloader.dataset.metainfo.classes) == name


def test_wrong_order_of_wnid_folders_is_found(data):
    """The order of the papers' list, in which peers number ImageWoof."""
    from mmdd.datasets.class_names import PAPER_IDS
    root = data('imagewoof_cls')
    cfg = read('imagewoof_real_cls', root)
    names = [class_names('imagenet')[i].split(',')[0] for i in PAPER_IDS['imagewoof']]
    node = dict(cfg.train_dataloader.dataset, metainfo=dict(classes=names))
    with pytest.raises(ValueError, match="folder 0 is n02086240 .Shih-Tzu., but class 0 is 'Au"):
        open_real_set(node)
