"""The documentation builds, with warnings as errors: links, anchors, names of the API."""
import os
import os.path as osp
import subprocess
import sys

import pytest

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))


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
    for page in ('', 'own_data', 'configs/unidd', 'api'):
        assert (tmp_path / 'site' / page / 'index.html').is_file()
    assert 'class="doc doc-object-name doc-class-name">GuidanceHook' in (
        tmp_path / 'site/api/index.html').read_text()


def test_the_readme_is_short():
    with open(osp.join(ROOT, 'README.md'), encoding='utf-8') as f:
        assert len(f.read().splitlines()) <= 150
