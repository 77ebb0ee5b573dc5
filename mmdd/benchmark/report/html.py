"""A benchmark as one HTML file that needs nothing else."""
import base64
import io
import os.path as osp
import re
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np
from PIL import Image

from mmdd.datasets.gallery import read_gallery
from mmdd.protocols.settings import method_line, settings_lines
from mmdd.utils.io import atomic_write_text
from mmdd.utils.picture import Tile, draw_tile
from . import tables as tables
from .budget_table import BUDGET_NOTE, budget_tables
from .facts_tables import class_tables, facts_table
from .overview import OVERVIEW_NOTE, overview_table
from .spread_table import SPREAD_NOTE, spread_table
from .tables import Cell, Table

TEMPLATES = osp.join(osp.dirname(osp.abspath(__file__)), 'templates')
MAX_TILES, TILES_PER_METHOD, TILE_SIDE = 360, 16, 160


def write_html(results: Mapping[str, Any], plots: Mapping[str, Sequence[Mapping[str, str]]],
               path: str) -> str:
    """Write the report.

    Args:
        results: Content of ``results.json``; the sets it names are read for
            galleries, where they are there.
        plots: Plots by group: ``kind``, ``title``, ``alt``, and ``light`` and ``dark``
            as SVG text.
        path: File to write.

    Returns:
        str: ``path``.
    """
    atomic_write_text(path, render(results, plots))
    return path


def render(results: Mapping[str, Any],
           plots: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """The report as text; everything that comes from outside is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    methods = sum(bool(method['sets']) for group in results['groups']
                  for method in group['methods'])
    num_tiles = max(4, min(TILES_PER_METHOD, MAX_TILES // max(1, methods)))
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True,
                              undefined=StrictUndefined)
    groups = [group_view(group, f'group-{i}', plots.get(group['name'], ()), num_tiles)
              for i, group in enumerate(results['groups'])]
    return environment.get_template('report.html').render(
        results=results, groups=groups, counts=counts(results), facts=machine_lines(results),
        methods=config_table(results), css=Markup(_template('report.css')),
        js=Markup(_template('report.js')))


def group_view(group: Mapping[str, Any], anchor: str, plots: Sequence[Mapping[str, str]],
               num_tiles: int) -> Dict[str, Any]:
    """What the template shows of one group."""
    views = [plot_view(plot) for plot in plots]
    view = dict(
        id=anchor, name=group['name'], notes=tables.notes(group), failures=group['failures'],
        students=[student_view(student) for student in group['students']],
        scores=tables.score_table(group), facts=facts_table(group),
        class_tables=class_tables(group), cost=tables.cost_table(group),
        plots=[plot for plot in views if plot['kind'] != 'cost'],
        cost_plot=next((plot for plot in views if plot['kind'] == 'cost'), None),
        galleries=[gallery_view(method, num_tiles) for method in group['methods']
                   if method['sets'] and method['sets'][0]['facts']],
        verdicts=[], tables=[], overview=overview_table(group),
        overview_caption=f'All students on real test data, {OVERVIEW_NOTE}')
    for student in group['students']:
        title = tables.student_title(student)
        view['verdicts'] += tables.verdicts(group, student)
        view['tables'] += [
            dict(table=table, classes=None, caption=f'{title}: {metric} by budget, {BUDGET_NOTE}')
            for metric, table in budget_tables(group, student).items()]
        view['tables'].append(dict(
            table=tables.group_table(group, student), classes=row_classes(group, student),
            caption=f'{title}: students on real test data, {", ".join(group["metrics"])}'))
        spread = spread_table(group, student)
        if spread.rows:
            view['tables'].append(dict(table=spread, classes=None,
                                       caption=f'{title}: {group["metrics"][0]}, {SPREAD_NOTE}'))
    return view


def student_view(student: Mapping[str, Any]) -> Dict[str, Any]:
    """The protocol of a student in words, and its whole config."""
    settings = student['settings']
    lines = settings_lines(settings) + [
        method_line(method, own) for method, own in settings['methods'].items()]
    return dict(student=tables.student_title(student), config=student['config'], lines=lines)


def row_classes(group: Mapping[str, Any], student: Mapping[str, Any]) -> List[str]:
    """A CSS class for every row of :func:`group_table`."""
    measured = {row['method'] for row in student['rows'] if row['runs']}
    randoms = {row['method'] for row in tables.random_rows(group, student).values()}
    return ['failed' if method['method'] not in measured else
            'random' if method['method'] in randoms else '' for method in group['methods']]


def counts(results: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """The figures at the head of the report."""
    facts = [entry['facts'] for group in results['groups'] for method in group['methods']
             for entry in method['sets'] if entry['facts']]
    runs = [run for group in results['groups'] for student in group['students']
            for run in student['runs'] if 'error' not in run]
    hours = sum(run['seconds'] for run in runs) / 3600
    return [('tables', str(len(results['groups']))),
            ('sets', str(len(facts))),
            ('images in sets', f'{sum(entry["images"] for entry in facts):,}'),
            ('students', str(len(runs))),
            ('student updates', f'{sum(run["updates"] for run in runs):,}'),
            ('hours of students', f'{hours:.1f}')]


def config_table(results: Mapping[str, Any]) -> Table:
    """Which config and which folder belong to a method."""
    table = Table(['method', 'table', 'config', 'options', 'set'], [])
    for group in results['groups']:
        for method in group['methods']:
            if not method['sets']:
                continue
            options = ' '.join(f'{key}={value}' for key, value in method['options'].items())
            table.rows.append([
                Cell(method['method']), Cell(group['name']),
                Cell(method['config'] or 'random twin of its budget'), Cell(options or '-'),
                Cell(method['sets'][0]['folder'])])
    return table


def machine_lines(results: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Machine, versions and settings as names and values."""
    machine, settings = results['machine'], results['settings']
    lines = [('processor', f'{machine["cpu"]}, {machine["cores"]} cores, '
                           f'{machine["memory_gib"]} GiB'),
             ('GPU', ', '.join(machine.get('gpus') or ['none'])),
             ('system', machine['system']),
             ('versions', ', '.join(f'{k} {v}' for k, v in results['versions'].items())),
             ('sets per method', str(settings['sets'])),
             ('students per set', f'{len(settings["seeds"])} (seeds '
                                  f'{", ".join(map(str, settings["seeds"]))})')]
    if settings['cfg_options']:
        lines.append(('changed fields', str(settings['cfg_options'])))
    return lines


def plot_view(plot: Mapping[str, str]) -> Dict[str, Any]:
    """A plot with its pictures as data URIs and its size in pixels."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', plot['light'])
    width, height = (round(float(value) * 4 / 3) for value in box.groups()) if box else (590, 360)
    return dict(kind=plot['kind'], title=plot['title'], alt=plot['alt'], width=width,
                height=height, **{theme: data_uri(plot[theme].encode(), 'image/svg+xml')
                                  for theme in ('light', 'dark')})


def gallery_view(method: Mapping[str, Any], num: int) -> Dict[str, Any]:
    """Pictures of a method's first set; a set that cannot be read says why."""
    try:
        found, classes = read_gallery(method['sets'][0]['folder'], num)
    except (ValueError, OSError) as error:
        return dict(method=method['method'], tiles=[], error=str(error))
    return dict(method=method['method'], error='', tiles=[
        tile_view(tile, classes, method['method']) for tile in found])


def tile_view(tile: Tile, classes: Sequence[str], method: str) -> Dict[str, Any]:
    """A picture with its boxes as a data URI; the caption becomes text."""
    drawn = draw_tile(replace(tile, caption=''), classes, TILE_SIDE)
    height, width = tile.image.shape[:2]
    factor = TILE_SIDE / max(height, width)
    drawn = drawn[:max(1, round(height * factor)), :max(1, round(width * factor))]
    names = ', '.join(dict.fromkeys(str(classes[int(label)]) for label in tile.labels))
    return dict(src=data_uri(jpeg(drawn), 'image/jpeg'), width=drawn.shape[1],
                height=drawn.shape[0], caption=tile.caption,
                alt=f'{method}, {tile.caption}{f": {names}" if names else ""}')


def jpeg(image: np.ndarray) -> bytes:
    """An image as JPEG bytes."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, 'JPEG', quality=86)
    return stream.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as an address that holds them."""
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'


def _template(name: str) -> str:
    with open(osp.join(TEMPLATES, name), encoding='utf-8') as f:
        return f.read()
