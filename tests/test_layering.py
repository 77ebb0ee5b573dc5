"""Who may import whom, how light ``import mmdd`` is, and no absolute paths."""
import ast
import os
import os.path as osp
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter

import pytest

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
# A part imports itself and those before it. ``utils`` holds no mmdd types, so it comes
# before the structures, whose seeds it makes.
ORDER = ('version', 'registry', 'utils', 'structures', 'datasets', 'models', 'evaluation',
         'engine', 'protocols', 'benchmark', 'starter', 'apis', '__main__')


def python_files(*folders):
    for folder in folders:
        for base, _, names in os.walk(osp.join(ROOT, folder)):
            for name in names:
                if name.endswith('.py'):
                    yield osp.relpath(osp.join(base, name), ROOT)


@cache
def parse(path):
    """The syntax tree of a file; not to be changed."""
    with open(osp.join(ROOT, path)) as f:
        return ast.parse(f.read())


def imported_parts(path):
    """First component below mmdd of every import in a file, wherever it stands."""
    package = path[:-3].split('/')[:-1]
    for node in ast.walk(parse(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split('.') for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) + 1 - node.level] if node.level else []
            module = base + (node.module or '').split('.') if node.module else base
            names = [module + [alias.name] for alias in node.names]
        for parts in names:
            if parts[0] == 'mmdd' and len(parts) > 1:
                yield parts[1], node.lineno


FILES = [path for path in python_files('mmdd') if path != 'mmdd/__init__.py']


@pytest.mark.parametrize('path', FILES)
def test_import_order(path):
    part = path.split('/')[1].removesuffix('.py')
    assert part in ORDER, f'{path} is in no known part of mmdd'
    for other, line in imported_parts(path):
        assert other in ORDER, f'{path}:{line} imports mmdd.{other}'
        assert ORDER.index(other) <= ORDER.index(part), f'{path}:{line} imports mmdd.{other}'


@pytest.mark.parametrize('path', FILES)
def test_names_in_strings_keep_the_order(path):
    """Modules that are named to be imported later, such as those to preload."""
    part, tree = path.split('/')[1].removesuffix('.py'), parse(path)
    documents = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree)
                  if isinstance(node, documents) and ast.get_docstring(node)}
    for node in ast.walk(tree) if path != 'mmdd/registry.py' else ():
        if (isinstance(node, ast.Constant) and isinstance(node.value, str)
                and id(node) not in docstrings):
            for other in re.findall(r'\bmmdd\.([a-z_]+)', node.value):
                if other in ORDER:
                    assert ORDER.index(other) <= ORDER.index(part), f'{path}:{node.lineno}'


def module_imports(path):
    """Modules of mmdd that a file imports, wherever in it."""
    package = path[:-3].split('/')[:-1]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom):
            base = package[:len(package) + 1 - node.level] if node.level else []
            module = base + (node.module.split('.') if node.module else [])
            for alias in node.names:
                for parts in (module + [alias.name], module, module + ['__init__']):
                    name = '/'.join(parts) + '.py'
                    if name in FILES:
                        yield name
                        break


def test_no_module_imports_itself_by_way_of_others():
    graph = TopologicalSorter({path: set(module_imports(path)) for path in FILES})
    graph.prepare()


def test_the_import_reader_sees_absolute_and_relative_imports():
    found = {part for part, _ in imported_parts('mmdd/models/coresets/base.py')}
    assert found == {'registry', 'structures', 'utils', 'models'}


def test_nothing_imports_tools_or_tests():
    for path in python_files('mmdd'):
        with open(osp.join(ROOT, path)) as f:
            text = f.read()
        assert not re.search(r'^\s*(from|import) (tools|tests|tiny)\b', text, re.M), path


def test_import_mmdd_is_light():
    code = ('import sys, time, mmdd; heavy = [m for m in sys.modules if m.split(".")[0] in '
            '("torch", "mmcv", "mmdet", "mmseg", "mmpretrain", "diffusers")]; '
            'print(mmdd.__version__, time.process_time(), heavy)')
    from mmdd import __version__
    for _ in range(3):
        version, seconds, heavy = subprocess.run(
            [sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True,
            check=True).stdout.split(None, 2)
        assert (version, heavy) == (__version__, '[]\n')
        # of the processor, in one try of three: mmengine.config alone; torch takes longer
        if float(seconds) < 2:
            return
    pytest.fail(f'import mmdd took {seconds} s')


def test_no_absolute_paths():
    pattern = re.compile(r"""['"](/(work|home|root|mnt|data|opt|usr|tmp)/|[A-Z]:\\\\)""")
    for path in python_files('mmdd', 'configs', 'tools'):
        with open(osp.join(ROOT, path)) as f:
            for number, line in enumerate(f, 1):
                assert not pattern.search(line), f'{path}:{number}: {line.strip()}'
