"""Tiny folders of data as people have them, one per format."""
import json
import os.path as osp

import numpy as np
from PIL import Image

SHAPES = ('circle', 'square')


def picture(path, size=(48, 40), seed=0):
    """A noisy photograph of (width, height) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def class_folders(root, per_class=6, splits=()):
    """Two classes, in folders of splits if there are any."""
    for split in splits or ('', ):
        for name in SHAPES:
            for i in range(per_class):
                picture(root / split / name / f'{name}{i}.png', seed=i)
    return root


def xml(path, objects, size=(48, 40)):
    """A VOC annotation of (name, x1, y1, x2, y2, difficult) objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = ''.join(
        f'<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{x1}</xmin>'
        f'<ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>'
        for name, x1, y1, x2, y2, hard in objects)
    path.write_text(f'<annotation><size><width>{size[0]}</width><height>{size[1]}</height>'
                    f'<depth>3</depth></size>{body}</annotation>')


def voc(root, images=10):
    """VOC's own layout without lists."""
    for i in range(images):
        picture(root / f'JPEGImages/{i:03d}.jpg', seed=i)
        xml(root / f'Annotations/{i:03d}.xml', [
            (SHAPES[i % 2], 3, 5, 33, 31, 0), (SHAPES[0], 11, 9, 41, 37, int(i == 0))])
    return root


def flat_voc(root, images=8):
    """XML files beside PNG images."""
    for i in range(images):
        picture(root / f'{i:03d}.png', seed=i)
        xml(root / f'{i:03d}.xml', [(SHAPES[i % 2], 3, 5, 33, 31, 0)])
    return root


def coco_json(folder, names, categories=SHAPES, file='_annotations.coco.json'):
    """COCO annotations of images with one box each, (3, 5) to (33, 29)."""
    content = dict(
        images=[dict(id=i, file_name=name, width=48, height=40) for i, name in enumerate(names)],
        annotations=[
            dict(id=i, image_id=i, category_id=1 + i % 2, bbox=[3, 5, 30, 24], area=720,
                 iscrowd=0, segmentation=[[3, 5, 33, 5, 33, 29]]) for i in range(len(names))],
        categories=[dict(id=0, name='shapes', supercategory='none')] + [
            dict(id=i, name=name) for i, name in enumerate(categories, 1)])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(json.dumps(content))


def roboflow(root):
    """Splits with a JSON file beside their images, and a category that nothing has."""
    for split, number in (('train', 8), ('valid', 4)):
        names = [f'{split}{i}.jpg' for i in range(number)]
        for i, name in enumerate(names):
            picture(root / split / name, seed=i)
        coco_json(root / split, names)
    return root


def masks(root, images='images', labels='masks', suffix='', number=8, palette=True):
    """Images with masks of the values 0, 1 and 255."""
    for i in range(number):
        picture(root / images / f'{i:02d}.jpg', seed=i)
        values = np.zeros((40, 48), np.uint8)
        values[10:30, 10:30] = 1
        values[:2] = 255
        mask = Image.fromarray(values)
        if palette:
            mask.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
        path = root / labels / f'{i:02d}{suffix}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        mask.save(path)
    return root


def files_of(root):
    """Every file below a folder with its content."""
    return {osp.relpath(path, root): path.read_bytes()
            for path in sorted(root.rglob('*')) if path.is_file()}
