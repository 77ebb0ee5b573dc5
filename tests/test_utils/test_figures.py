"""A figure is the same file each time, in the colours of its theme."""
from mmdd.utils.figures import THEMES, bar_panels, svg, themed


def draw(theme):
    with themed(theme):
        figure = bar_panels(['a', 'b'], {'seconds': {'deploy': [1., 2.], 'distill': [3., 0.]}},
                            (4., 2.))
    return svg(figure)


def test_svg_is_the_same_each_time_and_has_two_themes():
    light, dark = draw('light'), draw('dark')
    assert light == draw('light') and light.lstrip().startswith('<?xml')
    assert THEMES['light']['ink'] in light and THEMES['dark']['ink'] not in light
    assert THEMES['dark']['ink'] in dark


def test_bars_are_stacked_from_the_left():
    axes, = bar_panels(['a', 'b'], {'seconds': {'deploy': [1., 2.], 'distill': [3., 0.]}},
                       (4., 2.)).axes
    bars = {found.get_label(): [(bar.get_x(), bar.get_width()) for bar in found]
            for found in axes.containers}
    assert bars == dict(deploy=[(0., 1.), (0., 2.)], distill=[(1., 3.), (2., 0.)])
    assert axes.get_xlabel() == 'seconds'
