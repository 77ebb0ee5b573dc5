"""The cost of sets side by side: values, stages, files, figure, errors."""
import csv
import json
import os.path as osp
import runpy
import sys

import cost as report
import pytest
from distilled import write_set
from PIL import Image

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


@pytest.fixture
def sets(tmp_path):
    """A set, one whose proxy was trained, and one from before passes were counted."""
    plain = write_set(tmp_path / 'plain/distilled', seconds=2.)
    trained = write_set(tmp_path / 'trained/distilled', 'D4M', num=2, seconds=4.)
    old = write_set(tmp_path / 'old/distilled', 'Herding')
    path = osp.join(trained, 'manifest.json')
    content = json.loads(open(path).read())
    content['cost']['stages']['train proxy'] = dict(
        kind='deploy', seconds=7199., denoiser_passes=1000, updates=5)
    content['cost'].update(deploy_seconds=7200., denoiser_passes=1240,
                           peak_memory_mib=dict(host=900, gpu=2048))
    open(path, 'w').write(json.dumps(content))
    path = osp.join(old, 'manifest.json')
    content = json.loads(open(path).read())
    del content['cost']
    open(path, 'w').write(json.dumps(dict(content, stage_seconds=dict(prepare=3., plan=1.))))
    return [f'UniDD={plain}', str(tmp_path / 'trained'), f'old={old}']


def test_rows(sets):
    costs = report.read_costs(sets)
    assert report.cost_table(costs).texts == [
        ['UniDD', 'UniDD', '3', '1.0', '9.0', '360', '120.0', '4.000', '700', '-'],
        [sets[1], 'D4M', '2', '7,200.0', '9.0', '1,240', '620.0', '8.000', '900', '2,048'],
        ['old', 'Herding', '3', '3.0', '1.0', '-', '-', '4.000', '-', '-']]
    assert [row[1:] for row in report.stage_table(costs).texts] == [
        ['prepare', 'deploy', '1.0', '0'], ['synthesize', 'distill', '9.0', '360'],
        ['train proxy', 'deploy', '7,199.0', '1,000'], ['prepare', 'deploy', '1.0', '0'],
        ['synthesize', 'distill', '9.0', '240'],
        ['prepare', 'deploy', '3.0', '-'], ['plan', 'distill', '1.0', '-']]


def test_files(sets, tmp_path):
    costs = report.read_costs(sets)
    for name in ('cost.md', 'cost.csv'):
        report.write_table(str(tmp_path / name), costs)
    text = (tmp_path / 'cost.md').read_text()
    assert '| old | Herding | 3 | 3.0 | 1.0 | - | - | 4.000 | - | - |\n' in text
    rows = list(csv.reader(open(tmp_path / 'cost.csv')))
    assert rows[0] == report.cost_table(costs).columns and rows[4] == [] and len(rows) == 6 + 7
    assert rows[2][3:6] == ['7200.0', '9.0', '1240']  # numbers, for a machine to read


def test_bars_are_stacked(sets, tmp_path):
    costs = report.read_costs(sets)
    figure = report.cost_bars(costs)
    time, space = figure.axes
    assert time.get_xlabel() == 'time (hours)'
    assert space.get_xlabel() == 'peak GPU memory (GiB)'
    deploy, distill = time.patches[:3], time.patches[3:]
    assert [bar.get_width() * 3600 for bar in deploy] == pytest.approx([3., 7200., 1.])
    assert [bar.get_width() * 3600 for bar in distill] == pytest.approx([1., 9., 9.])
    assert [bar.get_x() for bar in distill] == [bar.get_width() for bar in deploy]
    assert [bar.get_width() for bar in space.patches] == [0., 2., 0.]
    one = {'UniDD': costs['UniDD']}
    assert [axes.get_xlabel() for axes in report.cost_bars(one).axes] == [
        'time (seconds)', 'peak host memory (GiB)']
    report.save_bars(str(tmp_path / 'cost.png'), costs)
    assert Image.open(tmp_path / 'cost.png').width > 500
    report.save_bars(str(tmp_path / 'cost.svg'), costs)
    assert (tmp_path / 'cost.svg').read_text().startswith('<?xml')


def test_folders_that_are_no_sets(tmp_path, sets):
    (tmp_path / 'begun/distilled/_job').mkdir(parents=True)
    for path, words in ((tmp_path / 'none', 'is no folder'), (tmp_path, 'holds no distilled set'),
                        (tmp_path / 'begun', 'not finished.*--resume')):
        with pytest.raises(FileNotFoundError, match=words) as caught:
            report.read_costs([f'a={path}'])
        assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    with pytest.raises(ValueError, match="'UniDD' is given twice"):
        report.read_costs([sets[0], sets[0]])


def test_the_tool(sets, tmp_path, monkeypatch, capsys):
    tool = osp.join(ROOT, 'tools/analysis_tools/cost.py')
    out = str(tmp_path / 'out/cost.md')
    monkeypatch.setattr(sys, 'argv', [tool, *sets, '--out', out])
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert f'tables: {out}' in printed and 'train proxy' in printed and osp.isfile(out)
    for argv, words in ((['--out', 'cost.xls'], 'cost.xls: the name must end in one of .md, .csv'),
                        (['--plot', 'a.md'], 'a.md: the name must end in one of .svg')):
        monkeypatch.setattr(sys, 'argv', [tool, *sets, *argv])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(tool, run_name='__main__')
        assert str(caught.value).startswith(f'error: {words}')
