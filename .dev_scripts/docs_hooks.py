"""Hooks of MkDocs: READMEs beside configs, plugins and priors are pages of the site as well.

A page keeps its place in the repository; what lies in ``docs/`` is the root of the site, so
links between the two lose the ``docs/`` that they have in the repository.
"""
import re
import subprocess
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = ('CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'SECURITY.md')
FOLDERS = ('.github/', 'configs/', 'projects/', 'mmdd/', 'requirements/', 'tests/', 'tools/')
LINK = re.compile(r'(\]\()((?:\.\./)*)docs/')
UP = re.compile(r'(\]\()\.\./')


def on_files(files, config):
    """Add what pages link to beside ``docs/``."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    listed = subprocess.check_output(command, cwd=ROOT, text=True).split('\0')
    for name in listed:
        if name in PAGES or name.startswith(FOLDERS):
            if (ROOT / name).is_file() and not name.endswith('.safetensors'):
                files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links between ``docs/`` and the rest of the repository hold on the site."""
    if Path(page.file.abs_src_path).is_relative_to(config.docs_dir):
        return UP.sub(r'\1', markdown)
    return LINK.sub(r'\1\2', markdown)
