"""Results of a benchmark that never ran, with sets on disk that do exist."""
from distilled import write_set

from mmdd.benchmark.results import (
    GroupResult,
    MethodResult,
    Results,
    SetResult,
    StudentResult,
)
from mmdd.datasets.set_facts import set_facts
from mmdd.protocols.results import Run
from mmdd.protocols.settings import MethodSettings, ProtocolSettings
from mmdd.utils.mean_std import MeanStd

METHODS = ('Random', 'Prior', 'Proxy', 'UniDD')
VALUES = {'Random': (40., 42.), 'Prior': (10., 12.), 'Proxy': (44., 46.), 'UniDD': (50., 54.)}


def run(method, folder, seed, value, images=3):
    """One finished student."""
    return Run(method, folder, seed, images=images, updates=200, seconds=12., select='val',
               last=dict(mAP=value, AP50=value + 20), best=dict(mAP=value + 1, AP50=value + 21))


def student(runs, name='', loss='hard'):
    """A student's part of a group."""
    settings = ProtocolSettings(
        'detection', dict(model='FasterRCNN', loss=loss),
        {one.method: MethodSettings(one.images, 200) for one in runs})
    return StudentResult(name, 'model = dict()', settings, runs, ['look here'])


def method(name, folder='', budget='1 %', **more):
    """A method's part of a group; without a folder the full real set."""
    sets = [SetResult(0, folder, facts=set_facts(folder))] if folder else []
    return MethodResult(**dict(dict(
        name=name, curve=name, budget=budget, config=f'configs/{name}.py',
        proxy=dict(seconds=218.), sets=sets, image_size=32), **more))


def group(folder):
    """A group of four methods and the full real set; UniDD has values of a paper."""
    folders = {name: write_set(folder / name, 'RandomCoreset' if name == 'Random' else 'UniDD')
               for name in METHODS}
    runs = [run(name, folders[name], seed, value) for name in METHODS
            for seed, value in enumerate(VALUES[name])]
    runs.append(run('Full', 'full', 0, 70., 300))
    methods = [method(name, folders[name], added=name == 'Random') for name in METHODS]
    methods[-1].paper = {'': dict(mAP=MeanStd(16.8, 0.5))}
    methods[-1].reference = dict(title='A <b>paper</b>', url='', name='', collection='')
    return GroupResult(
        'Detection & more', 'detection', ['mAP', 'AP50'], full=True,
        ablation=['Prior', 'Proxy', 'UniDD'], failures=['Herding seed 0: <script>alert(1)'],
        students=[student(runs)], methods=methods + [method('Full', budget='all')])


def results(folder, *groups):
    """Results of groups, of :func:`group` where none is given."""
    return Results(
        'Toys </title><script>alert(2)</script>', 'python tools/benchmark.py a&b',
        '2026-01-02 03:04 UTC', 'abc1234+',
        machine=dict(system='Linux', cpu='CPU', cores=2, memory_gib=4.),
        versions=dict(mmdd='1', torch='2'), groups=list(groups) or [group(folder)],
        settings=dict(sets=1, seeds=[0, 1], students='default', full_seeds=None, cfg_options={}))
