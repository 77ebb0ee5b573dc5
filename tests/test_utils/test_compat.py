"""Workarounds for the libraries below."""
import json
import subprocess
import sys

import pytest


def test_coco_annotations_are_read_in_silence(tmp_path, capsys):
    from mmdet.datasets.api_wrappers import COCO

    from mmdd.utils import compat
    compat.setup()
    compat.setup()  # once is enough, twice does nothing
    path = tmp_path / 'a.json'
    entry = dict(id=5, image_id=7, category_id=1, bbox=[0, 0, 2, 2], area=4, iscrowd=0)
    path.write_text(json.dumps(dict(
        info={}, images=[dict(id=7, file_name='a.jpg')], categories=[dict(id=1, name='cat')],
        annotations=[entry])))
    coco = COCO(str(path))
    assert coco.getAnnIds(7) == [5]
    assert coco.loadRes([dict(entry, score=1.)]).getAnnIds(7) == [1]
    assert capsys.readouterr().out == ''
    path.write_text('[')
    with pytest.raises(json.JSONDecodeError):
        COCO(str(path))
    print('heard')
    assert capsys.readouterr().out == 'heard\n'


def test_coco_results_are_compared_in_silence_but_for_their_table(tmp_path, capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from mmdd.utils import compat
    compat.setup()
    path = tmp_path / 'a.json'
    entry = dict(id=5, image_id=7, category_id=1, bbox=[0, 0, 2, 2], area=4, iscrowd=0)
    path.write_text(json.dumps(dict(
        info={}, images=[dict(id=7, file_name='a.jpg')], categories=[dict(id=1, name='cat')],
        annotations=[entry])))
    truth = COCO(str(path))
    found = COCOeval(truth, truth.loadRes([dict(entry, score=1.)]), 'bbox')
    found.evaluate()
    found.accumulate()
    assert capsys.readouterr().out == ''
    with pytest.raises(ZeroDivisionError), compat.without_coco_tables():
        found.summarize()
        assert found.stats[0] == pytest.approx(1) and capsys.readouterr().out == ''
        raise ZeroDivisionError
    found.summarize()
    assert capsys.readouterr().out.count('Average Precision') == 6


def test_a_class_of_mmpretrain_is_found_before_anything_is_set_up():
    """As a check of a training does: its models cannot be imported without the workarounds."""
    code = ('from mmengine.registry import MODELS; from mmdd.utils.components import class_of; '
            'print(class_of(MODELS, dict(type="ImageClassifier", _scope_="mmpretrain")).__name__)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == 'ImageClassifier\n', done.stderr[-500:]


def test_versions_are_read_once(monkeypatch):
    """Every look-up of a class sets up, thousands of times in a benchmark."""
    from mmdd.utils import compat

    def read_again(name):
        raise AssertionError(f'the metadata of {name} is read again')

    compat.setup()
    monkeypatch.setattr(compat.metadata, 'version', read_again)
    compat.setup()
