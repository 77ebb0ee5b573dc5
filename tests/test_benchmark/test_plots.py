"""Plots hold the numbers they were given, as lines, bars and dots."""
import math
from dataclasses import replace

import numpy as np
import pytest
import report_data

from mmdd.benchmark.report import plots
from mmdd.benchmark.results import GroupResult
from mmdd.utils.mean_std import MeanStd


@pytest.fixture
def group(tmp_path):
    return report_data.group(tmp_path)


def group_of(methods):
    return GroupResult('G', 'detection', ['mAP'], methods=methods)


def line_points(axes, label):
    line, = (line for line in axes.lines if line.get_label() == label)
    return np.asarray(line.get_xydata()).tolist()


def test_lines_and_error_bars():
    series = [plots.Series('A', [1, 2, 4], [10., 20., 40.], [1., 2., 3.], [5., math.nan, 6.]),
              plots.Series('B', [1, 2], [3., 4.], [0., 0.], [math.nan] * 2)]
    axes, = plots.line_figure(series, 'images', 'mAP', level=55.).axes
    bars = {container.get_label(): container for container in axes.containers}
    assert bars['A'].lines[0].get_xydata().tolist() == [[1, 10], [2, 20], [4, 40]]
    ends = [segment.tolist() for segment in bars['A'].lines[2][0].get_segments()]
    assert ends == [[[1, 9], [1, 11]], [[2, 18], [2, 22]], [[4, 37], [4, 43]]]
    assert line_points(axes, 'A (paper)')[::2] == [[1, 5], [4, 6]]
    assert not any(line.get_label() == 'B (paper)' for line in axes.lines)
    assert [y for _, y in line_points(axes, 'Full')] == [55., 55.]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('images', 'mAP')
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ['1', '2', '4']


def test_budget_series_are_sorted_and_need_two_budgets(tmp_path):
    folder = report_data.write_set(tmp_path / 's')
    names = [('big', 'M', 30, 9.), ('small', 'M', 10, 5.), ('lone', 'N', 10, 4.)]
    runs = [report_data.run(name, folder, seed, value + seed, images)
            for name, _, images, value in names for seed in (0, 2)]
    group = group_of([report_data.method(name, folder, curve=curve,
                                         paper={'': dict(mAP=MeanStd(value * 2))})
                      for name, curve, _, value in names])
    series, = plots.budget_series(group, report_data.student(runs), 'mAP')
    assert (series.name, series.x, series.y) == ('M', [10., 30.], [6., 10.])
    assert series.std == pytest.approx([math.sqrt(2)] * 2)
    assert series.paper == [10., 18.]


def test_the_spread_of_a_budget_is_that_over_sets(tmp_path):
    """Means of the sets are 1 and 5, then 2 and 2: students within a set do not count."""
    folders = [report_data.write_set(tmp_path / name) for name in 'ab']
    runs = [report_data.run(name, folder, seed, value, images)
            for name, images, values in (('x', 10, ((0., 2.), (4., 6.))),
                                         ('y', 20, ((0., 4.), (1., 3.))))
            for folder, own in zip(folders, values) for seed, value in enumerate(own)]
    group = group_of([report_data.method(name, folders[0], curve='M') for name in 'xy'])
    series, = plots.budget_series(group, report_data.student(runs), 'mAP')
    assert series.y == [3., 2.] and series.std == pytest.approx([math.sqrt(8), 0.])


def test_sweep_series(tmp_path):
    folder = report_data.write_set(tmp_path / 's')
    runs = [report_data.run(f'G@{x}', folder, 0, 10. + x) for x in (100, 0, 20)]
    group = group_of([report_data.method(f'G@{x}', folder, sweep=dict(
        base='G', label='guidance', value=x)) for x in (100, 0, 20)])
    found = plots.sweep_series(group, report_data.student(runs), 'mAP')
    assert list(found) == ['guidance']
    assert (found['guidance'][0].x, found['guidance'][0].y) == ([0, 20, 100], [10., 30., 110.])
    # methods of a sweep are no budget line
    assert plots.budget_series(group, report_data.student(runs), 'mAP') == []


def test_ablation_bars(group):
    axes, = plots.ablation_figure(group, group.students[0]).axes
    heights = {bars.get_label(): [bar.get_height() for bar in bars]
               for bars in axes.containers if hasattr(bars, 'patches')}
    assert heights == dict(mAP=[11., 45., 52.], AP50=[31., 65., 72.])
    assert [label.get_text() for label in axes.get_xticklabels()] == ['Prior', 'Proxy', 'UniDD']
    paper, = (line for line in axes.lines if line.get_label() == 'mAP (paper)')
    assert paper.get_ydata().tolist() == [16.8]
    assert plots.ablation_figure(replace(group, ablation=[]), group.students[0]) is None


def test_every_student_is_a_dot(group):
    axes, = plots.methods_figure(group, group.students[0], 'mAP').axes
    dots = {line.get_label(): sorted(line.get_xdata().tolist()) for line in axes.lines
            if line.get_marker() == 'o'}
    assert dots == dict({name: list(values) for name, values in report_data.VALUES.items()},
                        Full=[70.])
    assert [label.get_text() for label in axes.get_yticklabels()][::-1] == [
        'Random', 'Prior', 'Proxy', 'UniDD', 'Full']


def test_cost_bars(group):
    figure = plots.cost_figure(group)
    widths = {axes.get_xlabel(): [bar.get_width() for bar in axes.containers[0]]
              for axes in figure.axes}
    # 2 s an attempt, of which every second one is discarded
    assert widths == {'seconds per kept image': [4.] * 4, 'peak host memory (MiB)': [700.] * 4}


def test_embedding_points():
    points = dict(real=np.arange(8.).reshape(4, 2), UniDD=np.arange(4.).reshape(2, 2) + 9)
    axes, = plots.embedding_figure(points).axes
    assert [cloud.get_offsets().tolist() for cloud in axes.collections] == [
        xy.tolist() for xy in points.values()]
