"""Pages of the model zoo, made of the metafiles that ``model-index.yml`` lists.

A page per method, with a table per collection; ``docs_hooks.py`` puts them on the site.
"""
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
# Students that do not classify, by the word of a config's name.
TASKS = {'faster-rcnn': 'detection', 'mask-rcnn': 'instance segmentation',
         'lraspp': 'segmentation'}
NAMES = {'Top 1 Accuracy': 'top-1'}
HEAD = ('config', "paper's value", 'student', 'task', 'real set', 'tested on', 'budget', 'images')
INDEX_NOTE = ('The configs of the papers\' tables, from the metafiles beside them. Weights are '
              'not among them: `tools/distill.py` trains what a config needs.')
# The tables need the room of the table of contents.
FRONT = ['---', 'hide: [toc]', '---']
NOTE = ('The second column holds what the **paper** reports, in percent: **no value here was '
        'measured with mmdd**. What mmdd measures stands in [Results](../results.md). A line '
        'without a student is of the one that the config names; a dash means that the paper has '
        'no value.')


def zoo_pages():
    """Markdown by address on the site."""
    found = {}
    for path in read_yaml('model-index.yml')['Import']:
        content = read_yaml(path)
        found[Path(path).parent.name] = content
    pages = {f'zoo/{method}.md': method_page(content) for method, content in found.items()}
    return {'zoo/index.md': index_page(found), **pages}


def read_yaml(name):
    """A YAML file of the repository."""
    return yaml.safe_load((ROOT / name).read_text(encoding='utf-8'))


def index_page(metafiles):
    """How many configs there are of each method, for which tasks and real sets."""
    rows = []
    for method, content in metafiles.items():
        models, first = content['Models'], content['Collections'][0]
        sets = sorted({model['Metadata']['Training Data'].split(',')[0] for model in models})
        tasks = sorted({task_of(model) for model in models})
        rows.append((f'[{title(content)}]({method}.md)', paper_link(first), ', '.join(tasks),
                     len(models), ', '.join(sets)))
    head = ('method', 'paper', 'task', 'configs', 'real sets')
    lines = [*FRONT, '# Model zoo', '', INDEX_NOTE, '', *table(head, rows), '']
    return '\n'.join(lines)


def method_page(content):
    """The tables of one metafile."""
    collections = content['Collections']
    lines = [*FRONT, f'# {title(content)}', '', NOTE, '']
    for entry in collections:
        if len(collections) > 1:
            lines += [f'## {entry["Name"]}', '']
        models = [one for one in content['Models'] if one['In Collection'] == entry['Name']]
        links = [f'[README](../{entry["README"]})', f'[code](../{entry["Code"]})']
        lines += [', '.join([paper_link(entry), *links]), '',
                  *table(HEAD, [row for model in models for row in model_rows(model)]), '']
    return '\n'.join(lines)


def title(content):
    """Name of the method, or of what several have in common."""
    names = [entry['Name'] for entry in content['Collections']]
    return names[0] if len(names) == 1 else f'{names[0].split()[-1].capitalize()}s'


def paper_link(entry):
    """The paper of a collection."""
    paper = entry.get('Paper')
    return f'[{paper["Title"]}]({paper["URL"]})' if paper else 'a baseline of mmdd'


def model_rows(model):
    """One row per result of a config; one without a value where the paper has none."""
    facts = model['Metadata']
    name = Path(model['Config']).stem
    for result in model.get('Results') or [{}]:
        source = facts['Source'].removeprefix('paper, ') if result else ''
        yield (f'[{name}](../{model["Config"]})',
               f'{values(result["Metrics"])} ({source})' if result else '–',
               result.get('Student', ''), task_of(model), facts['Training Data'],
               result.get('Dataset', ''), facts['Budget'], f'{facts["Images"]:,}')


def task_of(model):
    """The task of a config by the student in its name."""
    words = Path(model['Config']).stem.split('_')
    return next((TASKS[word] for word in words if word in TASKS), 'classification')


def values(metrics):
    """Metrics as text: ``mAP 12.3 ± 0.4``."""
    parts = []
    for name, value in metrics.items():
        if not name.endswith('_std'):
            spread = metrics.get(f'{name}_std')
            parts.append(f'{NAMES.get(name, name)} {value}' +
                         ('' if spread is None else f' ± {spread}'))
    return ', '.join(parts)


def table(head, rows):
    """Lines of a Markdown table; numbers stand on the right."""
    numeric = [name in ('images', 'configs') for name in head]
    lines = [head, ['---:' if right else '---' for right in numeric], *rows]
    return [f'| {" | ".join(map(str, line))} |' for line in lines]
