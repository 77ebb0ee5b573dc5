"""Sets exported for the Hugging Face Hub, as its own library reads them."""
import json
import os.path as osp

import numpy as np
import pytest
import yaml
from export_sets import CLASSES, SEED, class_samples, samples, write_set
from PIL import Image
from pycocotools.coco import COCO

from mmdd.datasets import ClassFolderWriter, COCOWriter, SegMapWriter, VOCWriter
from mmdd.datasets.export import export_set
from mmdd.utils.io import sha256

BOXES = [[2.5, 3.0, 9.5, 11.25], [1.0, 2.0, 28.0, 17.0]]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')


def exported(tmp_path, writer, made, **summary):
    """An exported set: folder of the set, of the export."""
    folder, out = write_set(tmp_path / 'set', writer, made, **summary), str(tmp_path / 'out')
    assert export_set(folder, out, 'hub') == 3
    return folder, out


def load(out, tmp_path, *how):
    """The rows that ``datasets`` reads, images still encoded as files."""
    import datasets
    options = dict(data_dir=out) if how else {}
    data = datasets.load_dataset(*(how or (out, )), split='train',
                                 cache_dir=str(tmp_path / 'cache'), **options)
    for name in {'image', 'mask'} & set(data.column_names):
        data = data.cast_column(name, datasets.Image(decode=False))
    return list(data)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def card_of(out):
    text = read(osp.join(out, 'README.md')).decode()
    _, head, body = text.split('---\n', 2)
    return yaml.safe_load(head), body


def entries_of(folder):
    return json.loads(read(osp.join(folder, 'manifest.json')))['images']


@pytest.mark.parametrize('how', [('imagefolder', ), ()])
def test_classification(tmp_path, how):
    folder, out = exported(tmp_path, ClassFolderWriter(), class_samples())
    rows = load(out, tmp_path, *how)
    assert [row['label'] for row in rows] == [2, 1, 1]
    assert [row['class_name'] for row in rows] == ['dog, hound', '<b>x', '<b>x']
    assert [row['score'] for row in rows] == [0.875, None, 0.25]
    assert [row['accepted'] for row in rows] == [True, True, False]
    assert [row['seed'] for row in rows] == [SEED, SEED + 1, SEED + 2]
    assert [row['prompt'] for row in rows] == [f'a "photo" {i}' for i in range(3)]
    assert [row['sources'] for row in rows] == [[f'real_{i}'] for i in range(3)]
    for row, entry in zip(rows, entries_of(folder)):
        path = osp.join(folder, entry['files'][0])
        assert read(row['image']['path']) == read(path)
        assert osp.relpath(row['image']['path'], out) == entry['files'][0]


def test_detection_of_coco(tmp_path):
    folder, out = exported(tmp_path, COCOWriter(), samples())
    rows = load(out, tmp_path, 'imagefolder')
    assert [row['objects']['bbox'] for row in rows] == [BOXES, [], BOXES]
    assert rows[0]['objects']['categories'] == [1, 2]
    assert rows[0]['objects']['names'] == ['<b>x', 'dog, hound']
    assert rows[0]['objects']['area'] == [106.875, 476.0]
    # the set's own annotations, beside images of the same names
    name = 'annotations/instances_train.json'
    assert read(osp.join(out, name)) == read(
        osp.join(folder, 'annotations/instances_train2017.json'))
    coco = COCO(osp.join(out, name))
    for image, entry in zip(coco.loadImgs(coco.getImgIds()), entries_of(folder)):
        assert read(osp.join(out, 'train', image['file_name'])) == read(
            osp.join(folder, entry['files'][0]))


def test_detection_of_voc(tmp_path):
    """VOC has whole pixels; pycocotools reads the boxes that mmdet reads."""
    folder, out = exported(tmp_path, VOCWriter(), samples())
    rows = load(out, tmp_path, 'imagefolder')
    boxes = [[3.0, 3.0, 9.0, 11.0], [1.0, 2.0, 28.0, 17.0]]
    assert [row['objects']['bbox'] for row in rows] == [boxes, [], boxes]
    coco = COCO(osp.join(out, 'annotations/instances_train.json'))
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    found = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert [(a['bbox'], a['category_id'], a['iscrowd']) for a in found] == [
        (boxes[0], 2, 0), (boxes[1], 3, 0)]
    assert coco.loadImgs([0])[0] == dict(id=0, file_name='000000.jpg', height=20, width=30)


@pytest.mark.parametrize('writer, file, old, new', [
    (VOCWriter(), 'VOC2007/Annotations/000000.xml', '<difficult>0<', '<difficult>1<'),
    (COCOWriter(), 'annotations/instances_train2017.json', '"iscrowd":0', '"iscrowd":1')])
def test_what_training_ignores_is_marked(tmp_path, writer, file, old, new):
    """Difficult objects of VOC and crowds of COCO both are crowds of the export."""
    folder = write_set(tmp_path / 'set', writer, samples())
    path, manifest = tmp_path / 'set' / file, tmp_path / 'set/manifest.json'
    path.write_text(path.read_text().replace(old, new, 1))
    content = json.loads(manifest.read_text())
    content['sha256'][file] = sha256(str(path))
    manifest.write_text(json.dumps(content))
    export_set(folder, str(tmp_path / 'out'), 'hub')
    row = json.loads((tmp_path / 'out/train/metadata.jsonl').read_text().splitlines()[0])
    assert row['objects']['iscrowd'] == [1, 0]
    coco = COCO(str(tmp_path / 'out/annotations/instances_train.json'))
    assert [a['iscrowd'] for a in coco.loadAnns(coco.getAnnIds(imgIds=[0]))] == [1, 0]


@pytest.mark.parametrize('reduced', [False, True])
def test_segmentation(tmp_path, reduced):
    writer = SegMapWriter()
    writer.reduce_zero_label = reduced
    folder, out = exported(tmp_path, writer, samples())
    for row, entry in zip(load(out, tmp_path, 'imagefolder'), entries_of(folder)):
        for column, file in zip(('image', 'mask'), entry['files']):
            assert read(row[column]['path']) == read(osp.join(folder, file))
    with Image.open(row['mask']['path']) as mask:
        assert np.unique(np.asarray(mask)).tolist() == ([0, 1, 2, 3] if reduced else
                                                        [0, 1, 2, 255])
    body = card_of(out)[1]
    assert ('0 is to be ignored' in body) == reduced and '- `mask`: class index' in body


def test_card(tmp_path):
    folder, out = exported(tmp_path, COCOWriter(), samples())
    head, body = card_of(out)
    assert head['license'] == 'unknown' and head['size_categories'] == ['n<1K']
    assert head['task_categories'] == ['object-detection']
    assert head['tags'] == ['dataset-distillation', 'mmdd', 'synthetic']
    for line in ('- method: `UniDD`', '- real set: `VOCDataset .../birds lists/train.txt`',
                 '- budget: `Total(n=3)`', '- images that meet the budget: `2`',
                 '- prior: `StableDiffusion, weights .../sd`', '- seed of the job: `3`',
                 '1. `<b>x`'):
        assert line in body.splitlines()
    assert "pretrained='.../sd'" in body and 'holds real images' not in body
    assert not any(word in body for word in ('/home', 'home-me', 'me:key'))


@pytest.mark.parametrize('config', ['model = dict(type="RandomCoreset")', '(', 'x = [*y]', ''])
def test_card_of_real_images(tmp_path, config):
    """A method without a prior takes real images; a config that cannot be read is no error."""
    _, out = exported(tmp_path, ClassFolderWriter(), class_samples(), config=config)
    head, body = card_of(out)
    assert head['tags'][-1] == 'coreset' and '**This set holds real images**' in body
    assert 'prior' not in body.split('## Licences')[0]


def test_a_config_is_parsed_not_run(tmp_path):
    config = (f'__import__("os").mkdir("{tmp_path}/ran")\n'
              f'model = dict(type=open("{tmp_path}/ran", "w"), seed=1)\n```\n')
    exported(tmp_path, COCOWriter(), samples(), config=config)
    exported_card = read(tmp_path / 'out/README.md').decode()
    assert not (tmp_path / 'ran').exists() and '````python' in exported_card
