"""Hooks of MkDocs: READMEs beside configs, plugins and priors are pages of the site as well.

A page keeps its place in the repository; what lies in ``docs/`` is the root of the site, so
links between the two lose the ``docs/`` that they have in the repository. Notebooks become pages,
and the metafiles those of the model zoo.
"""
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).resolve().parent))
from notebook_page import notebook_page  # noqa: E402
from zoo_pages import zoo_pages  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PAGES = ('CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'SECURITY.md')
FOLDERS = ('.github/', 'configs/', 'projects/', 'mmdd/', 'requirements/', 'tests/', 'tools/')
LINK = re.compile(r'(\]\()((?:\.\./)*)docs/')
NOTEBOOK = re.compile(r'(\]\([^)\s]+)\.ipynb\b')


def on_files(files, config):
    """Add what pages link to beside ``docs/``."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    listed = subprocess.check_output(command, cwd=ROOT, text=True).split('\0')
    for name in listed:
        if name in PAGES or name.startswith(FOLDERS):
            if (ROOT / name).is_file() and not name.endswith('.safetensors'):
                files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for name, content in made_pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def made_pages():
    """Content of the pages that no file of the repository is, and of their pictures."""
    pages = zoo_pages()
    for path in sorted((ROOT / 'docs').glob('**/*.ipynb')):
        folder = path.parent.relative_to(ROOT / 'docs')
        text, pictures = notebook_page(path.read_text(encoding='utf-8'), path.stem)
        pages[(folder / f'{path.stem}.md').as_posix()] = leave_docs(text, len(folder.parts))
        pages.update({(folder / name).as_posix(): data for name, data in pictures.items()})
    return pages


def on_page_markdown(markdown, page, config, files):
    """Let links between ``docs/`` and the rest of the repository hold on the site."""
    markdown = NOTEBOOK.sub(r'\1.md', markdown)
    source = page.file.abs_src_path
    if source is None:  # made for the site, with its addresses
        return markdown
    if Path(source).is_relative_to(config.docs_dir):
        return leave_docs(markdown, len(Path(source).relative_to(config.docs_dir).parts) - 1)
    return LINK.sub(r'\1\2', markdown)


def leave_docs(markdown, depth):
    """Links out of ``docs/`` from a page so many folders below it, with one ``../`` less."""
    return re.sub(rf'(\]\((?:\.\./){{{depth}}})\.\./', r'\1', markdown)
