"""Every method's metafile and README list its configs."""
import os.path as osp
import re

import pytest
from config_files import METHODS, ROOT
from paper_configs import LEAVES, PUBLISHED, entries, read_yaml, readme_lines


@pytest.mark.parametrize('method', METHODS)
def test_metafile_lists_every_published_config(method):
    content = read_yaml(f'configs/{method}/metafile.yml')
    collections = {entry['Name']: entry for entry in content['Collections']}
    assert set(entries(method)) == {
        f'configs/{leaf}.py' for leaf in PUBLISHED if leaf.startswith(f'{method}/')}
    for model in content['Models']:
        assert model['In Collection'] in collections
        assert ('Results' in model) == ('Source' in model['Metadata'])
    for entry in collections.values():
        assert osp.isfile(osp.join(ROOT, entry['README']))
        assert osp.isfile(osp.join(ROOT, entry['Code']))
    assert f'configs/{method}/metafile.yml' in read_yaml('model-index.yml')['Import']


@pytest.mark.parametrize('method', METHODS)
def test_readme_links_every_config(method):
    text = '\n'.join(readme_lines(method))
    linked = set(re.findall(r'\]\(([\w.-]+\.py)\)', text))
    assert linked == {f'{osp.basename(leaf)}.py' for leaf in LEAVES
                      if leaf.startswith(f'{method}/')}
