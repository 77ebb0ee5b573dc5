"""A table of bad inputs: every one ends in one line that names the setting or the file."""
import copy
import os.path as osp
import runpy
import shutil
import sys
from collections import Counter
from functools import partial

import bad_components
import bad_files
import bad_jobs
import pytest
import test_bad_input_sets as sets
import tiny
import toy_student
import yaml
from mmengine.config import Config

from mmdd.benchmark.suite import read_suite
from mmdd.datasets.checks import open_real_set
from mmdd.engine.distill_job import read_job
from mmdd.engine.preflight import check_data, check_job, check_prompter
from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.sets import set_content
from mmdd.utils.cli import run_cli
from mmdd.utils.components import check_part

TOOLS = osp.join(osp.dirname(__file__), '../../tools')
MAX_LENGTH = 400


def outcome(action, words):
    """How an input ends: 'clear', 'unclear', 'traceback' or 'accepted', and the line."""
    try:
        run_cli(action)
    except SystemExit as stop:
        line = stop.code
    else:
        return 'accepted', ''
    if not isinstance(line, str) or '(internal:' in line:
        return 'traceback', line
    named = line.startswith('error: ') and words in line
    bare = line.startswith(tuple(f'error: {kind}:' for kind in (
        'TypeError', 'KeyError', 'AssertionError', 'OSError')))
    short = '\n' not in line and len(line) < MAX_LENGTH
    return ('clear' if named and short and not bare else 'unclear'), line


def changed(config, options):
    """A copy of a config with other values at dotted keys."""
    cfg = Config(copy.deepcopy(config))
    for key, value in options.items():
        *parents, last = key.split('.')
        node = cfg
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return cfg


def components(tmp_path, digits):
    for name, registry, cfg, words in [*bad_components.component_cases(),
                                       *bad_components.outside_cases()]:
        yield name, partial(check_part, 'part', registry, cfg), words


def jobs(tmp_path, digits):
    job = tiny.distill_job(digits)

    def check(key, value):
        cfg = changed(job, {key: value})
        cfg.work_dir = str(tmp_path / 'job')
        check_job(read_job(cfg), resume=False)

    for key, value, words in bad_jobs.JOB:
        yield f'{key}={value!r}', partial(check, key, value), words


def prompts(tmp_path, digits):
    for number, write in enumerate(bad_files.PROMPTS):
        path = tmp_path / f'{number}.jsonl'
        write(path)
        job = Config(tiny.distill_job(digits))
        job.model.prompt_file = str(path)
        yield f'prompts {number}', partial(check_prompter, job), path.name


def suites(tmp_path, digits):
    for number, (change, words) in enumerate(bad_jobs.SUITES):
        path = tmp_path / f'suite{number}.yml'
        base = dict(groups=dict(A=dict(methods=dict(x=bad_jobs.RANDOM))))
        content = dict(base, **change) if isinstance(change, dict) else change
        path.write_text(yaml.safe_dump(content))
        yield f'suite {change}', partial(read_suite, str(path)), words
    path.write_bytes(b'\xa2\xff')
    yield 'binary suite', partial(read_suite, str(path)), path.name
    path = tmp_path / 'open.yml'
    path.write_text('{a: [')
    yield 'no YAML', partial(read_suite, str(path)), path.name
    yield 'missing suite', partial(read_suite, str(tmp_path / 'gone.yml')), 'gone.yml'


def protocols(tmp_path, digits):
    protocol = toy_student.protocol(tmp_path / 'toy')

    def read(options):
        read_protocol(changed(protocol, options))

    for options, words in bad_jobs.PROTOCOLS:
        yield f'protocol {options}', partial(read, options), words


def commands(tmp_path, digits):
    for tool, arguments, words in bad_jobs.COMMANDS:

        def run(argv):
            sys.argv = argv
            runpy.run_path(osp.join(TOOLS, argv[0]), run_name='__main__')

        yield f'{tool} {arguments}', partial(run, [tool, *arguments.split()]), words


def real_sets(tmp_path, digits):
    dataset = dict(tiny.voc_dataset(digits), pipeline=[dict(type='Foo')])
    yield 'a transform', partial(open_real_set, dataset), 'train_dataloader.dataset cannot be'
    job = Config(tiny.distill_job(digits))
    job.model.proxy = dict(type='DetectorProxy', cfg=tiny.classifier_job(digits))
    yield 'a proxy of another task', partial(
        check_data, job), 'model.proxy: DetectorProxy takes a model of mmdet'
    job = Config(tiny.distill_job(digits))
    job.model.proxy = dict(type='DetectorProxy', cfg={})
    bare = Config(tiny.distill_job(digits))
    bare.train_dataloader.dataset.pipeline = []
    yield 'an empty pipeline', partial(
        check_data, bare), 'train_dataloader.dataset.pipeline packs no data_samples'
    none = Config(tiny.distill_job(digits))
    none.train_dataloader.dataset = dict(
        type='ConcatDataset', _scope_='mmengine', datasets=[])
    yield 'no datasets', partial(check_data, none), 'a ConcatDataset of no datasets'
    yield 'a proxy without a model', partial(
        check_data, job), 'model.proxy: DetectorProxy: its cfg has no model'
    for number, (spoil, words) in enumerate(bad_files.VOC):
        root = tmp_path / f'voc{number}'
        shutil.copytree(digits, root)
        spoil(root)
        dataset = dict(tiny.voc_dataset(root, images=False), serialize_data=False)
        yield f'VOC {number}', partial(open_real_set, dataset), words
    for kind, cases in (('coco', bad_files.COCO), ('cls', bad_files.FOLDERS),
                        ('seg', bad_files.MASKS)):
        for number, (spoil, words) in enumerate(cases):
            job = sets.Job(tmp_path / f'{kind}{number}', kind)
            spoil(job)
            yield f'{kind} {number}', partial(open_real_set, job.dataset), words


def distilled_sets(tmp_path, digits):
    protocol = read_protocol(Config(toy_student.protocol(tmp_path / 'toy_sets')))
    for number, (spoil, words) in enumerate(bad_files.DISTILLED):
        root = tmp_path / f'set{number}'
        toy_student.voc_set(root, [1, 2])
        spoil(root)
        yield f'set {number}', partial(set_content, protocol, str(root)), words


PARTS = (components, jobs, prompts, suites, protocols, commands, real_sets, distilled_sets)


@pytest.fixture(scope='module')
def table(digits, tmp_path_factory):
    """(name, outcome, line) of every bad input."""
    argv, rows = sys.argv, []
    for part in PARTS:
        folder = tmp_path_factory.mktemp(part.__name__)
        rows += [(f'{part.__name__}: {name}', *outcome(action, words))
                 for name, action, words in part(folder, digits)]
    sys.argv = argv
    return rows


def test_every_bad_input_ends_in_one_clear_line(table):
    counts = Counter(kind for _, kind, _ in table)
    print('bad inputs:', dict(counts))
    others = [row for row in table if row[1] != 'clear']
    print(*others, sep='\n')
    assert not others
    assert counts['clear'] >= 200


@pytest.mark.parametrize('part', [part.__name__ for part in PARTS])
def test_every_part_of_the_table_is_there(table, part):
    assert sum(name.startswith(f'{part}:') for name, _, _ in table) >= 5
