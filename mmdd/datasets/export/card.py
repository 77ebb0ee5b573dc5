"""The card of an exported set: what it is, how it was made, whose rights it touches."""
import os.path as osp
import re
from typing import Any, Dict, List

import yaml

from mmdd.utils.io import atomic_write_text
from ..manifest import is_reduced
from .config_text import public_config, public_path, read_config
from .content import SEGMENTATION, ExportContent

TEMPLATES = osp.join(osp.dirname(osp.abspath(__file__)), 'templates')
# Least numbers of images and the Hub's names for them.
SIZES = ((10**6, '1M<n<10M'), (10**5, '100K<n<1M'), (10**4, '10K<n<100K'),
         (10**3, '1K<n<10K'), (0, 'n<1K'))


def write_card(content: ExportContent, path: str, name: str, files: str) -> None:
    """Write the dataset card.

    Args:
        content: The set.
        path: File to write.
        name: Name of the dataset.
        files: Pattern of its files, for the Hub.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined,
                              keep_trailing_newline=True, trim_blocks=True)
    environment.filters['code'] = as_code
    manifest, config = content.manifest, str(content.manifest.get('config') or '')
    text = environment.get_template('card.md').render(
        head=yaml.safe_dump(head(content, name, files), sort_keys=False, allow_unicode=True),
        name=name, content=content, made=provenance(content), real=holds_real_images(content),
        columns=columns(content), reduced=is_reduced(manifest),
        config=public_config(config).strip(), fence=fence(config, 3))
    atomic_write_text(path, text)


def head(content: ExportContent, name: str, files: str) -> Dict[str, Any]:
    """The front matter of the card."""
    tags = ['dataset-distillation', 'mmdd']
    tags += ['coreset' if holds_real_images(content) else 'synthetic']
    return dict(
        license='unknown', pretty_name=name, task_categories=[content.task],
        size_categories=[next(word for least, word in SIZES if len(content.images) >= least)],
        tags=tags, configs=[dict(config_name='default', data_files=[
            dict(split='train', path=files)])])


def holds_real_images(content: ExportContent) -> bool:
    """Whether images are real ones, copied or cut out, rather than made by a prior."""
    return not _prior(content) or any(
        image.entry.get('label_source') == 'real' for image in content.images)


def provenance(content: ExportContent) -> Dict[str, str]:
    """How the set was made, as names and values; what the manifest does not tell is left out."""
    manifest, config = content.manifest, read_config(str(content.manifest.get('config') or ''))
    model = config.get('model')
    versions = manifest.get('versions') or {}
    facts = {
        'method': manifest.get('method'),
        'real set': ', '.join(_real_sets(config.get('train_dataloader'))),
        'budget': manifest.get('budget'),
        'images asked for': manifest.get('budget_asked'),
        'images that meet the budget': manifest.get('budget_met'),
        'prior': _prior(content),
        'seed of the job': model.get('seed') if isinstance(model, dict) else None,
        'fingerprint of the job': (manifest.get('job') or {}).get('fingerprint'),
        'mmdd': versions.get('mmdd'),
        'other versions': ', '.join(f'{package} {version}' for package, version
                                    in sorted(versions.items()) if package != 'mmdd'),
    }
    return {key: str(value) for key, value in facts.items() if value is not None and value != ''}


def _prior(content: ExportContent) -> str:
    """The diffusion model and its weights; '' where the method has none."""
    model = read_config(str(content.manifest.get('config') or '')).get('model')
    if not isinstance(model, dict) or not isinstance(model.get('diffusion'), dict):
        return ''
    diffusion = model['diffusion']
    weights = diffusion.get('pretrained')
    tuned = ', fine-tuned on the real set' if model.get('fine_tune') else ''
    return f'{diffusion.get("type")}, ' + (
        f'weights {public_path(str(weights))}' if weights else 'random weights') + tuned


def _real_sets(node: Any) -> List[str]:
    """Type, folder and list of the datasets inside a dataloader's config."""
    if not isinstance(node, dict):
        return []
    if isinstance(node.get('datasets'), list):
        return [name for inner in node['datasets'] for name in _real_sets(inner)]
    if 'dataset' in node:
        return _real_sets(node['dataset'])
    paths = [str(node[key]) for key in ('data_root', 'ann_file') if node.get(key)]
    return [' '.join([str(node.get('type')), *map(public_path, paths)])]


def columns(content: ExportContent) -> Dict[str, str]:
    """What is told of each image, by name."""
    known = dict(
        slot='number of the image in the plan of the job',
        seed='seed of the image: all that is random about it',
        prompt='text that the prior was given', score='score of the proxy in [0, 1]',
        judge_score='score in [0, 1] of a network that took no part',
        accepted='whether it passed the refinement; false is the best attempt of a slot that '
                 'none passed', label_source='where the label comes from',
        sources='ids of the real images that the label, or the image, comes from',
        label='class index', class_name='class name', class_names='classes asked for',
        mask='class index of each pixel',
        objects='`bbox` (x, y, width, height in pixels), `categories` (class indices), `names`, '
                '`area`, `iscrowd` (crowds of COCO, difficult objects of VOC)')
    told = {*content.records()[0], *(['mask'] if content.task == SEGMENTATION else [])}
    return {key: text for key, text in known.items() if key in told}


def as_code(text: Any) -> str:
    """Text as code in Markdown: nothing in it is markup."""
    line = ' '.join(str(text).split())
    mark = fence(line, 1)
    blank = ' ' if line.startswith('`') or line.endswith('`') else ''
    return f'{mark}{blank}{line}{blank}{mark}'


def fence(text: str, least: int) -> str:
    """Backticks that do not occur in the text, so many at least."""
    longest = max(map(len, re.findall('`+', text)), default=0)
    return '`' * max(least, longest + 1)
