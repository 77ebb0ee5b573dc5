"""A notebook as a page of the site: its text, its code and the outputs that were kept."""
import base64
import json


def notebook_page(text, name):
    """Markdown of a notebook, and the pictures that it shows.

    Args:
        text: Content of an ``.ipynb`` file.
        name: Name of the notebook, which those of its pictures begin with.

    Returns:
        tuple: The Markdown, and pictures (bytes) by file name.
    """
    lines, pictures = [], {}
    for cell in json.loads(text)['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            lines += [source, '']
            continue
        lines += block(source, 'python')
        for output in cell['outputs']:
            lines += output_lines(output, name, pictures)
    return '\n'.join(lines), pictures


def output_lines(output, name, pictures):
    """Markdown of one output; a picture is added to ``pictures``."""
    data = output.get('data', {})
    if 'image/png' in data:
        file = f'{name}_{len(pictures) + 1}.png'
        pictures[file] = base64.b64decode(''.join(data['image/png']))
        return [f'![output]({file})', '']
    if 'text/markdown' in data:
        return [''.join(data['text/markdown']), '']
    return block(''.join(output.get('text') or data.get('text/plain', '')).rstrip(), 'text')


def block(text, language):
    """A fenced block."""
    return [f'```{language}', text, '```', '']
