"""A benchmark as one HTML file that needs nothing else."""
import base64
import io
import os.path as osp
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np
from PIL import Image

from mmdd.datasets.gallery import read_gallery
from mmdd.utils.picture import Tile, draw_tile
from ..results import GroupResult, MethodResult, Results, StudentResult
from .group_plots import Drawing
from .notes import notes, verdicts
from .set_tables import class_tables, config_table, cost_table, facts_table, score_table
from .student_tables import OVERVIEW_NOTE, overview_table, student_tables

TEMPLATES = osp.join(osp.dirname(osp.abspath(__file__)), 'templates')
MAX_TILES, TILES_PER_METHOD, TILE_SIDE = 360, 16, 160


def render(results: Results, plots: Mapping[str, Sequence[Drawing]]) -> str:
    """The report with the plots of each group; everything that comes from outside is escaped.

    The sets that the results name are read for galleries, where they are there.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    methods = sum(bool(method.sets) for method in results.methods)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True,
                              undefined=StrictUndefined)
    # What the template makes of results; in what order, it says itself.
    for view in (class_tables, config_table, cost_table, counts, data_uri, facts_table,
                 gallery_view, notes, overview_table, row_classes, score_table, student_tables,
                 verdicts):
        environment.globals[view.__name__] = view
    return environment.get_template('report.html').render(
        results=results, plots=plots, overview_note=OVERVIEW_NOTE,
        num_tiles=max(4, min(TILES_PER_METHOD, MAX_TILES // max(1, methods))))


def row_classes(group: GroupResult, student: StudentResult) -> List[str]:
    """A CSS class for every row of :func:`group_table`."""
    randoms = {row.method for row in group.randoms(student).values()}
    return ['failed' if method.name not in student.measured else
            'random' if method.name in randoms else '' for method in group.methods]


def counts(results: Results) -> List[Tuple[str, str]]:
    """The figures at the head of the report."""
    facts = [entry for method in results.methods for entry in method.facts]
    runs = [run for group in results.groups for student in group.students
            for run in student.finished]
    hours = sum(run.seconds for run in runs) / 3600
    return [('tables', str(len(results.groups))),
            ('sets', str(len(facts))),
            ('images in sets', f'{sum(entry["images"] for entry in facts):,}'),
            ('students', str(len(runs))),
            ('student updates', f'{sum(run.updates for run in runs):,}'),
            ('hours of students', f'{hours:.1f}')]


def gallery_view(method: MethodResult, num: int) -> Dict[str, Any]:
    """Pictures of a method's first set; a set that cannot be read says why."""
    try:
        found, classes = read_gallery(method.sets[0].folder, num)
    except (ValueError, OSError) as error:
        return dict(tiles=[], error=str(error))
    return dict(tiles=[tile_view(tile, classes, method.name) for tile in found], error='')


def tile_view(tile: Tile, classes: Sequence[str], method: str) -> Dict[str, Any]:
    """A picture with its boxes as a data URI; the caption becomes text."""
    drawn = draw_tile(replace(tile, caption=''), classes, TILE_SIDE)
    height, width = tile.image.shape[:2]
    factor = TILE_SIDE / max(height, width)
    drawn = drawn[:max(1, round(height * factor)), :max(1, round(width * factor))]
    names = ', '.join(dict.fromkeys(str(classes[int(label)]) for label in tile.target.labels))
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(drawn)).save(stream, 'JPEG', quality=86)
    return dict(src=data_uri(stream.getvalue(), 'image/jpeg'), width=drawn.shape[1],
                height=drawn.shape[0], caption=tile.caption,
                alt=f'{method}, {tile.caption}{f": {names}" if names else ""}')


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as an address that holds them."""
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
