"""Sets exported as WebDataset shards."""
import io
import json
import os
import os.path as osp
import tarfile

import numpy as np
import pytest
from export_sets import SEED, class_samples, samples, write_set
from PIL import Image

from mmdd.datasets import ClassFolderWriter, COCOWriter, SegMapWriter
from mmdd.datasets.export import export_set
from mmdd.datasets.export.shards import ShardSize, read_shard_size


def read_shards(out):
    """The samples that webdataset reads."""
    import webdataset
    tars = sorted(osp.join(out, name) for name in os.listdir(out) if name.endswith('.tar'))
    return list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)), tars


@pytest.mark.parametrize('writer, made, suffix', [
    (ClassFolderWriter(), class_samples, 'png'), (COCOWriter(), samples, 'jpg'),
    (SegMapWriter(), samples, 'jpg')])
def test_samples(tmp_path, writer, made, suffix):
    folder, out = write_set(tmp_path / 'set', writer, made()), str(tmp_path / 'out')
    export_set(folder, out, 'webdataset', '2')
    found, tars = read_shards(out)
    assert [osp.basename(path) for path in tars] == ['000000.tar', '000001.tar']
    assert [sample['__key__'] for sample in found] == ['000000', '000001', '000002']
    for i, (sample, source) in enumerate(zip(found, made())):
        record = json.loads(sample['json'])
        with open(osp.join(folder, record['file']), 'rb') as f:
            assert sample[suffix] == f.read()
        assert record['seed'] == SEED + i and record['prompt'] == f'a "photo" {i}'
        assert record['score'] == source.score and record['accepted'] == source.accepted
        if suffix == 'png':
            assert record['label'] == source.labels[0]
        elif 'mask.png' in sample:
            mask = np.asarray(Image.open(io.BytesIO(sample['mask.png'])))
            assert (mask == source.mask).all()
        else:
            x1, y1, x2, y2 = source.bboxes.T.astype(float)
            assert record['objects']['bbox'] == np.stack([x1, y1, x2 - x1, y2 - y1], 1).tolist()
            assert record['objects']['categories'] == source.labels.tolist()


def test_the_same_set_gives_the_same_bytes(tmp_path):
    folder = write_set(tmp_path / 'set', COCOWriter(), samples())
    for name in ('a', 'b'):
        export_set(folder, str(tmp_path / name), 'webdataset')
        for base, _, names in os.walk(folder):
            for file in names:
                os.utime(osp.join(base, file), (1, 1))
    first, second = ((tmp_path / name / '000000.tar').read_bytes() for name in 'ab')
    assert first == second
    with tarfile.open(tmp_path / 'a/000000.tar') as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, '', 0o644)}
        assert tar.getnames() == sorted(tar.getnames())


@pytest.mark.parametrize('text, size', [
    ('7', ShardSize(images=7)), ('256MB', ShardSize(bytes=256 * 10**6)),
    ('1mb', ShardSize(bytes=10**6))])
def test_shard_size(text, size):
    assert read_shard_size(text) == size


@pytest.mark.parametrize('text', ['0', '-1', '1.5', 'MB', 'many', '10GB'])
def test_bad_shard_size(text):
    with pytest.raises(ValueError, match='--shard-size'):
        read_shard_size(text)


def test_shards_by_bytes(tmp_path, monkeypatch):
    from mmdd.datasets.export import run
    folder = write_set(tmp_path / 'set', COCOWriter(), samples())
    biggest = max(path.stat().st_size for path in (tmp_path / 'set/train2017').iterdir())
    monkeypatch.setattr(run, 'read_shard_size', lambda text: ShardSize(bytes=biggest))
    export_set(folder, str(tmp_path / 'out'), 'webdataset')
    assert len(read_shards(str(tmp_path / 'out'))[1]) == 3
