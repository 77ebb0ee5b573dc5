"""A map of a group: from a proxy, kept on disk."""
import numpy as np
import report_data
import tiny

from mmdd.benchmark.report.embedding import embed_group
from mmdd.benchmark.results import GroupResult


def test_a_group_by_its_proxy(digits, detector_checkpoint, tmp_path, monkeypatch):
    folders = [report_data.write_set(tmp_path / name) for name in 'abc']
    methods = [report_data.method(name, folder) for name, folder in zip('abc', folders)]
    group = GroupResult('G', 'detection', ['mAP'], methods=methods, ablation=['a', 'c'])
    assert embed_group(group, str(tmp_path)) is None  # no proxy
    methods[1].proxy_config = dict(type='DetectorProxy', cfg=tiny.detector_job(digits))
    methods[1].checkpoint = detector_checkpoint
    methods[1].dataset = tiny.voc_dataset(digits, images=False)
    points = embed_group(group, str(tmp_path), num_real=8)
    # 'a' is a step of the ablation, not its result
    assert {name: len(xy) for name, xy in points.items()} == dict(real=8, b=3, c=3)
    monkeypatch.setattr('mmdd.benchmark.report.embedding.embed', None)  # kept on disk
    again = embed_group(group, str(tmp_path), num_real=8)
    assert all(np.array_equal(points[name], again[name]) for name in points)
