"""Distilled sets as they lie on disk: written without a job, and read."""
import json
import os
import os.path as osp

import numpy as np
import pytest

from mmdd.datasets.formats.voc_xml import write_voc_xml
from mmdd.utils.io import atomic_save_image


def manifest(folder):
    """The manifest of a distilled set, which has no NaN or infinity in it."""
    with open(osp.join(folder, 'manifest.json'), encoding='utf-8') as f:
        return json.load(f, parse_constant=lambda name: pytest.fail(f'{name} is not JSON'))


def files(folder):
    """Bytes of the files of a distilled set by path, but for its manifest and its job."""
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = osp.relpath(osp.join(base, name), folder)
            if not path.startswith('_job') and path != 'manifest.json':
                with open(osp.join(folder, path), 'rb') as f:
                    found[path] = f.read()
    return found


def write_set(folder, method='UniDD', num=3, score=0.5, seconds=2.):
    """A finished distilled set of ``num`` images with a manifest; returns its path."""
    images = []
    for i in range(num):
        files = [f'VOC2007/JPEGImages/{i:06d}.jpg', f'VOC2007/Annotations/{i:06d}.xml']
        atomic_save_image(str(folder / files[0]), np.full((24, 32, 3), 40 * i, np.uint8))
        write_voc_xml(str(folder / files[1]), f'{i:06d}.jpg', (24, 32, 3), [[2, 2, 20, 20]],
                      ['<i>cat'])
        images.append(dict(
            files=files, slot=i, seed=i, round=0, rounds=1 + i % 2, classes=['<i>cat'],
            prompt='', source='x', score=score + i / 10, accepted=True, label_source='proxy',
            seconds=seconds))
    manifest = dict(
        images=images, method=method, budget='Ratio(percent=1)', budget_asked=num,
        budget_met=num, images_made=2 * num, discard_rate=0.5, classes=['<i>cat'],
        job=dict(fingerprint=f'{method}{num}'), versions=dict(torch='2'),
        cost=dict(
            stages=dict(
                prepare=dict(kind='deploy', seconds=1., denoiser_passes=0),
                synthesize=dict(kind='distill', seconds=9., denoiser_passes=120 * num)),
            deploy_seconds=1., distill_seconds=9., denoiser_passes=120 * num,
            seconds_per_image=seconds, seconds_per_kept=2 * seconds,
            peak_memory_mib=dict(host=700), ranks=1),
        per_class={'<i>cat': dict(images=num, objects=num), 'dog': dict(images=0, objects=0)},
        metrics=dict(mmd2=0.25, mmd_linear=4.3, coverage=0.75, density=0.5, bandwidth=3., k=5,
                     num_real=12, score=dict(mean=score, class_means={'<i>cat': 0.625})))
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    return str(folder)
