"""Run a notebook from nothing and keep its outputs in it.

    python .dev_scripts/run_notebook.py docs/notebooks/digits.ipynb

It runs in an empty folder that is removed afterwards. What belongs to this machine is left out of
the outputs: folders, warnings of installed packages, times of the cells.
"""
import argparse
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1800  # seconds of one cell
COLOURS = re.compile(r'\x1b\[[\d;]*m')
METADATA = {
    'kernelspec': {'display_name': 'Python 3', 'language': 'python', 'name': 'python3'},
    'language_info': {'name': 'python'}}


def run_notebook(path, folder):
    """Run a notebook.

    Args:
        path: The ``.ipynb`` file.
        folder: Where it runs, and keeps its temporary files.

    Returns:
        The executed notebook, tidied.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=LIMIT, kernel_name='python3',
                            resources=dict(metadata=dict(path=str(folder))))
    client.execute(env=dict(os.environ, TMPDIR=str(folder)))
    return tidy(notebook, str(folder))


def tidy(notebook, folder):
    """Leave out what another run, or another machine, would have otherwise; in place."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f'cell-{number}', nbformat.from_dict({})
        outputs = merged([one for one in cell.get('outputs', []) if one.get('name') != 'stderr'])
        for output in outputs:
            tidy_text(output, folder)
        if cell.cell_type == 'code':
            cell.outputs = outputs
    return notebook


def tidy_text(output, folder):
    """Leave colours and folders out of the text of an output, in place."""
    if 'text' in output:
        output.text = plain(output.text, folder)
    elif 'text/plain' in output.get('data', {}):
        output.data['text/plain'] = plain(output.data['text/plain'], folder)


def merged(outputs):
    """Outputs with neighbouring pieces of one stream put together."""
    found = []
    for output in outputs:
        if found and output.output_type == found[-1].output_type == 'stream':
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def plain(text, folder):
    """Text without colours, its paths relative to where the notebook worked and to the project.

    Args:
        text: The text.
        folder: The notebook worked in it or in one of its folders.
    """
    text = COLOURS.sub('', text)
    inner = map(str, Path(folder).glob('mmdd_*'))
    for root in [*inner, str(folder), str(ROOT)]:
        text = text.replace(f'{root}/', '').replace(root, '.')
    return text


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebook', type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='notebook_') as folder:
        notebook = run_notebook(args.notebook, folder)
    nbformat.write(notebook, args.notebook)
    print(f'{args.notebook}: {args.notebook.stat().st_size / 1000:.0f} kB')


if __name__ == '__main__':
    main()
