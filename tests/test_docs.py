"""The documentation builds, with warnings as errors: links, anchors, names of the API."""
import base64
import json
import os
import os.path as osp
import subprocess
import sys

import pytest

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))


@pytest.fixture
def dev_scripts(monkeypatch):
    """Scripts of the project can be imported."""
    monkeypatch.syspath_prepend(osp.join(ROOT, '.dev_scripts'))


@pytest.mark.slow
def test_the_site_builds_in_strict_mode(tmp_path):
    pytest.importorskip('mkdocs', reason='make docs installs MkDocs')
    pytest.importorskip('mkdocstrings_handlers.python', reason='make docs installs mkdocstrings')
    if not osp.exists(osp.join(ROOT, '.git')):
        pytest.skip('the pages beside docs/ are those that git tracks')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--site-dir', str(tmp_path / 'site')], cwd=ROOT,
        env=dict(os.environ, NO_MKDOCS_2_WARNING='1'), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert 'WARNING' not in done.stderr
    for page in ('', 'own_data', 'configs/unidd', 'api', 'zoo', 'zoo/rded', 'notebooks/digits'):
        assert (tmp_path / 'site' / page / 'index.html').is_file()
    assert (tmp_path / 'site/notebooks/digits_1.png').read_bytes().startswith(b'\x89PNG')
    assert 'href="../../configs/unidd/resnet18_imagenet_ipc10.py"' in (
        tmp_path / 'site/zoo/unidd/index.html').read_text()
    assert 'class="doc doc-object-name doc-class-name">GuidanceHook' in (
        tmp_path / 'site/api/index.html').read_text()


def test_the_readme_is_short():
    with open(osp.join(ROOT, 'README.md'), encoding='utf-8') as f:
        assert len(f.read().splitlines()) <= 150


def test_the_model_zoo_lists_every_config_with_the_value_of_its_paper(dev_scripts):
    from zoo_pages import read_yaml, zoo_pages
    pages = zoo_pages()
    for path in read_yaml('model-index.yml')['Import']:
        method, models = path.split('/')[1], read_yaml(path)['Models']
        assert f']({method}.md) | ' in pages['zoo/index.md']
        rows = [line for line in pages[f'zoo/{method}.md'].splitlines() if line.startswith('| [')]
        assert len(rows) == sum(len(model.get('Results', [0])) for model in models)
        for model in models:
            assert any(f'](../{model["Config"]}) | ' in row for row in rows)
    shown = pages['zoo/rded.md']
    assert '**no value here was measured with mmdd**' in shown
    assert ('| [resnet18_imagenette_ipc1](../configs/rded/resnet18_imagenette_ipc1.py) | '
            'top-1 25.1 ± 2.7 (table 2) | ResNet-101 | classification | ImageNette | '
            'ImageNette val | IPC 1 | 10 |') in shown
    assert '| – |  | instance segmentation | MS COCO train2017 |' in pages['zoo/unidd.md']


def test_a_notebook_becomes_a_page(dev_scripts):
    from notebook_page import notebook_page
    picture = base64.b64encode(b'pixels').decode()
    cells = [
        dict(cell_type='markdown', source=['# Title\n', 'text']),
        dict(cell_type='code', source='print(1)\n2', outputs=[
            dict(output_type='stream', name='stdout', text=['1\n']),
            dict(output_type='execute_result', data={'text/plain': '2'}),
            dict(output_type='display_data', data={'image/png': picture, 'text/plain': '<x>'}),
            dict(output_type='display_data', data={'text/markdown': '| a |'})])]
    text, pictures = notebook_page(json.dumps(dict(cells=cells)), 'name')
    assert text.split('\n\n') == [
        '# Title\ntext', '```python\nprint(1)\n2\n```', '```text\n1\n```', '```text\n2\n```',
        '![output](name_1.png)', '| a |\n']
    assert pictures == {'name_1.png': b'pixels'}


@pytest.mark.parametrize('depth, link', [
    (0, '[a](configs/x.py) [b](y.md)'), (1, '[a](../configs/x.py) [b](../y.md)')])
def test_links_out_of_docs(dev_scripts, depth, link):
    pytest.importorskip('mkdocs', reason='make docs installs MkDocs')
    from docs_hooks import leave_docs
    there = link.replace('configs', '../configs')
    assert leave_docs(there, depth) == link and leave_docs(link, depth + 1) == link
