"""Every project is a file or two and their configs, and works wherever the folder lies."""
import ast
import importlib
import os.path as osp
import re
import shutil

import processes
import pytest
from mmengine.registry import DefaultScope
from project_files import PROJECTS, ROOT, load_module, parts

from mmdd.engine.distill_job import read_job
from mmdd.engine.parts import parts_of
from mmdd.utils.components import check_part
from mmdd.utils.config import load_config

# Reads configs in a process that knows of no project yet.
READ = '''
import sys
from mmengine.registry import DefaultScope
from mmdd.engine.distill_job import read_job
from mmdd.engine.parts import parts_of
from mmdd.protocols.protocol import read_protocol
from mmdd.utils.components import check_part
from mmdd.utils.config import load_config
for path in sys.argv[1:]:
    cfg = read_job(path)
    with DefaultScope.overwrite_default_scope('mmdd'):
        for part in parts_of(cfg):
            check_part(*part)
    if cfg.model.get('proxy') is not None:
        load_config(cfg.model.proxy.cfg)
    for protocol in (cfg, *(cfg.evaluation.get('students') or {}).values()):
        read_protocol(protocol)
    print(path, cfg.model.type)
'''


def test_projects_are_found_and_listed():
    assert {'cao2_selection', 'dm', 'example_project', 'od3', 'sre2l'} <= set(PROJECTS)
    text = open(osp.join(ROOT, 'projects/README.md')).read()
    assert all(f'[{project}]({project}/README.md)' in text for project in PROJECTS)


@pytest.mark.parametrize('project', PROJECTS)
def test_a_project_is_small_and_imports_what_is_exported(project):
    configs, modules = parts(project)
    assert osp.isfile(osp.join(ROOT, 'projects', project, 'README.md'))
    for config in configs:
        text = open(config).read()
        assert len(text.splitlines()) <= 40 and '../' not in text
    assert [check_imports(module) for module in modules][0]


def check_imports(module):
    """Check size and imports of a Python file; the imports from mmdd are returned."""
    text = open(module).read()
    assert len(text.splitlines()) <= 200
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
                and (node.module or '').split('.')[0] == 'mmdd']
    for node in imported:
        package = importlib.import_module(node.module)
        exported = getattr(package, '__all__', [n for n in vars(package) if n[0] != '_'])
        assert len(node.module.split('.')) == 2 or node.module == 'mmdd.utils.seed', (
            f'{node.module} is not public')
        for alias in node.names:
            assert alias.name in exported or node.module == 'mmdd.models' and hasattr(
                package, alias.name), f'{node.module} does not export {alias.name}'
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)
                and any(alias.name.startswith('mmdd') for alias in node.names)]
    return imported


@pytest.mark.parametrize('project', sorted(set(PROJECTS) - {'example_project'}))
def test_a_readme_says_what_was_measured_and_with_which_command(project):
    text = open(osp.join(ROOT, 'projects', project, 'README.md')).read()
    measured = text.partition('## What was measured\n')[2].partition('\n## ')[0]
    named = re.findall(r'tools/benchmark.py --suite (\w+)', measured)
    assert named or 'tools/evaluate.py' in measured
    for suite in named:
        with open(osp.join(ROOT, f'configs/benchmarks/{suite}.yml')) as f:
            assert f'projects/{project}/' in f.read()


def test_all_configs_are_whole_outside_of_the_repository(tmp_path):
    moved, methods = [], []
    for project in PROJECTS:
        shutil.copytree(osp.join(ROOT, 'projects', project), tmp_path / project)
        for config in parts(project)[0]:
            moved.append(str(tmp_path / project / osp.basename(config)))
            methods.append(load_config(config).model.type)
    (tmp_path / 'desk').mkdir()
    (tmp_path / 'read.py').write_text(READ)
    lines = processes.run(tmp_path / 'read.py', *moved, cwd=tmp_path / 'desk').splitlines()
    assert [line for line in lines if line.startswith(str(tmp_path))] == [
        f'{path} {method}' for path, method in zip(moved, methods)]


@pytest.mark.parametrize('project', PROJECTS)
def test_a_readme_says_that_the_folder_may_be_moved(project):
    text = ' '.join(open(osp.join(ROOT, 'projects', project, 'README.md')).read().split())
    assert re.search(r'may be moved anywhere|works from anywhere', text)
    assert re.search(r"`(_base_ = ')?mmdd::\.\.\.'?`", text)
    assert re.search(r'beside (itself|themselves|the config)', text)


@pytest.mark.parametrize('project', PROJECTS)
def test_configs_in_a_readme_name_what_there_is(project, tmp_path):
    load_module(project)
    shutil.copytree(osp.join(ROOT, 'projects', project), tmp_path / 'moved')
    text = open(osp.join(ROOT, 'projects', project, 'README.md')).read()
    for block in re.findall(r'```python\n(.*?)```', text, re.S):
        (tmp_path / 'moved/readme.py').write_text(block)
        cfg = read_job(str(tmp_path / 'moved/readme.py'))
        with DefaultScope.overwrite_default_scope('mmdd'):
            for part in parts_of(cfg):
                check_part(*part)
