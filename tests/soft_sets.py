"""A class-folder set of single digits and tiny students for classification protocols."""
import glob
import os
import os.path as osp
import shutil

import tiny

from mmdd.datasets.digit_scenes import CLASSES


def digit_set(digits, folder, count=10):
    """Real digits as a distilled set in class folders."""
    lines = []
    paths = sorted(glob.glob(osp.join(str(digits), 'single', 'train', '*', '*.png')))[:count]
    for path in paths:
        label = osp.basename(osp.dirname(path))
        name = osp.join(label, osp.basename(path))
        os.makedirs(osp.join(str(folder), 'train', label), exist_ok=True)
        shutil.copyfile(path, osp.join(str(folder), 'train', name))
        lines.append(f'{name} {CLASSES.index(label)}\n')
    os.makedirs(osp.join(str(folder), 'meta'))
    with open(osp.join(str(folder), 'meta', 'train.txt'), 'w') as f:
        f.writelines(lines)
    return str(folder)


def parts(digits, name, **schedule):
    """Model, dataset and protocol for a few updates on 32-pixel images."""
    loader = dict(num_workers=0, persistent_workers=False)
    dataset = dict(type='CustomDataset', _scope_='mmpretrain', data_root=str(digits),
                   data_prefix='single/train', metainfo=dict(classes=CLASSES))
    model = tiny.classifier()
    model['data_preprocessor']['num_classes'] = 10
    return [
        dict(model=model, **{f'{split}_dataloader': dict(dataset=dataset)
                             for split in ('train', 'val', 'test')}),
        f'configs/_base_/protocols/{name}.py',
        dict(protocol=dict(schedule=dict(dict(image_size=32), **schedule)), log_level='WARNING',
             **{f'{split}_dataloader': loader for split in ('train', 'val', 'test')})]
