"""The student protocol: a stock training config whose training set is swapped."""
import copy
import hashlib
import math
import os.path as osp
import xml.etree.ElementTree as ET
from typing import Any, Callable, Dict, List, Sequence, Set

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmdd.utils.compat import setup
from mmdd.utils.config import ConfigType, fingerprint, load_config
from mmdd.utils.io import sha256

FULL = 'full'


def read_protocol(config: ConfigType) -> Config:
    """Load a protocol config.

    Args:
        config: Training config of an mm* package with a field ``protocol``:
            ``task`` (how the set is swapped), ``metrics`` (column -> metric key),
            ``scale`` (factor on the metrics, 100 for percent) and ``full`` (options
            merged for the arm that trains on the full real set); or a distillation
            config that names one in ``evaluation.protocol``.

    Raises:
        ValueError: If the field is missing or incomplete.
    """
    cfg = load_config(config)
    name = config if isinstance(config, str) else 'the config'
    if 'evaluation' in cfg:
        return read_protocol(cfg.evaluation.protocol)
    protocol = cfg.get('protocol')
    if protocol is None:
        raise ValueError(f'{name} has neither a field protocol=dict(task=..., metrics=...) nor '
                         f'evaluation=dict(protocol=...)')
    if protocol.get('task') not in ADAPTERS or not protocol.get('metrics'):
        raise ValueError(f'{name}: protocol needs metrics and a task of {sorted(ADAPTERS)}, '
                         f'got task {protocol.get("task")!r}')
    return cfg


def leaf_dataset(dataset: Dict[str, Any]) -> Dict[str, Any]:
    """The first dataset inside wrappers such as RepeatDataset and ConcatDataset."""
    while True:
        if 'datasets' in dataset:
            dataset = dataset['datasets'][0]
        elif 'dataset' in dataset:
            dataset = dataset['dataset']
        else:
            return dataset


def swap_dataset(dataset: Dict[str, Any], changes: Dict[str, Any]) -> Dict[str, Any]:
    """Point a dataset config at another folder.

    Several concatenated datasets become one. Repetitions stay: they are part
    of the schedule.

    Args:
        dataset: Dataset config, possibly nested; not changed.
        changes: Fields of the innermost dataset.

    Returns:
        dict: The config with pipeline, metainfo and repetitions kept.
    """
    if 'datasets' in dataset:
        return swap_dataset(dataset['datasets'][0], changes)
    swapped = copy.deepcopy(dataset)
    if 'dataset' in dataset:
        swapped['dataset'] = swap_dataset(dataset['dataset'], changes)
    else:
        swapped.update(changes)
    return swapped


def student_config(protocol: Config, folder: str, seed: int) -> Config:
    """The training config of one student.

    Args:
        protocol: See :func:`read_protocol`.
        folder: Folder of the set, or 'full' for the protocol's own real set.
        seed: Seed of the training.

    Returns:
        Config: Only the training set, the seed and, for 'full', the protocol's
        options for the full set differ from the protocol.
    """
    cfg = copy.deepcopy(protocol)
    options = cfg.pop('protocol')
    if folder == FULL:
        cfg.merge_from_dict(options.get('full') or {})
    else:
        changes = ADAPTERS[options.task](cfg, folder)['dataset']
        cfg.train_dataloader.dataset = swap_dataset(cfg.train_dataloader.dataset, changes)
    cfg.randomness = dict(seed=seed, deterministic=False)
    return cfg


def set_files(protocol: Config, folder: str) -> Dict[str, Any]:
    """Check a set and list what it is made of.

    Args:
        protocol: See :func:`read_protocol`.
        folder: Folder of the set, or 'full'.

    Returns:
        dict: ``images`` (number, None for 'full') and ``sha256`` of the contents.

    Raises:
        FileNotFoundError: If the folder or a file of the set is missing.
        ValueError: If the set is empty or has classes the protocol does not know.
    """
    if folder == FULL:
        files = _annotation_lists(protocol.train_dataloader.dataset)
        return dict(images=None, sha256=_digest('', files))
    if not osp.isdir(folder):
        raise FileNotFoundError(f'set folder {folder} not found')
    found = ADAPTERS[protocol.protocol.task](protocol, folder)
    return dict(images=found['images'], sha256=_digest(folder, found['files']))


def run_key(cfg: Config, content: str, seed: int) -> str:
    """Name of a run: set content, protocol, starting weights and seed, 16 hex digits.

    Args:
        cfg: Student config; where its training set lies does not count.
        content: SHA-256 of the set.
        seed: Seed of the training.
    """
    neutral = copy.deepcopy(cfg)
    leaf_dataset(neutral.train_dataloader.dataset)['data_root'] = ''
    parts = [content, fingerprint(neutral), str(seed)] + weights_of(cfg.to_dict())
    return hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]


def weights_of(node: Any) -> List[str]:
    """SHA-256 of every local checkpoint that a config starts from."""
    if isinstance(node, (list, tuple)):
        return [digest for value in node for digest in weights_of(value)]
    if not isinstance(node, dict):
        return []
    found = [sha256(node[key]) for key in ('checkpoint', 'load_from')
             if isinstance(node.get(key), str) and osp.isfile(node[key])]
    return found + [d for key in sorted(node) if key != 'prepare' for d in weights_of(node[key])]


def num_updates(cfg: Config, images: int) -> int:
    """Optimizer steps of a training on one device.

    Args:
        cfg: Training config.
        images: Images of its training set, without repetitions.
    """
    if 'max_iters' in cfg.train_cfg:
        return cfg.train_cfg.max_iters
    node, repeats = cfg.train_dataloader.dataset, 1
    while 'dataset' in node:
        repeats *= node.get('times', 1)
        node = node['dataset']
    per_epoch = math.ceil(images * repeats / cfg.train_dataloader.batch_size)
    return cfg.train_cfg.max_epochs * per_epoch


def known_classes(protocol: Config) -> Set[str]:
    """Class names of the protocol's training set: of its config or of its dataset class."""
    leaf = leaf_dataset(protocol.train_dataloader.dataset)
    names = (leaf.get('metainfo') or {}).get('classes')
    if names is None:
        setup()
        scope = leaf.get('_scope_') or protocol.get('default_scope') or 'mmengine'
        with DATASETS.switch_scope_and_registry(scope) as registry:
            names = getattr(registry.get(leaf['type']), 'METAINFO', {}).get('classes')
    return set(names or ())


def _digest(folder: str, files: Sequence[str]) -> str:
    lines = [f'{name} {sha256(osp.join(folder, name))}' for name in sorted(files)]
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def _annotation_lists(dataset: Dict[str, Any]) -> List[str]:
    if 'datasets' in dataset:
        return [file for inner in dataset['datasets'] for file in _annotation_lists(inner)]
    if 'dataset' in dataset:
        return _annotation_lists(dataset['dataset'])
    path = osp.join(dataset.get('data_root') or '', dataset.get('ann_file') or '')
    if not osp.isfile(path):
        raise FileNotFoundError(f'the full real set: {path} not found')
    return [path]


def _voc_set(protocol: Config, folder: str) -> Dict[str, Any]:
    """A detection set in Pascal VOC layout."""
    image_set = 'VOC2007/ImageSets/Main/train.txt'
    if not osp.isfile(osp.join(folder, image_set)):
        raise FileNotFoundError(f'{folder} is not a set in VOC layout: {image_set} not found')
    with open(osp.join(folder, image_set)) as f:
        names = f.read().split()
    if not names:
        raise ValueError(f'{folder}: {image_set} lists no image')
    known = known_classes(protocol)
    files = [image_set]
    for name in names:
        image, xml = f'VOC2007/JPEGImages/{name}.jpg', f'VOC2007/Annotations/{name}.xml'
        for file in (image, xml):
            if not osp.isfile(osp.join(folder, file)):
                raise FileNotFoundError(f'{folder}: {file} is listed in {image_set} but missing')
        classes = _voc_classes(osp.join(folder, xml))
        if known and classes - known:
            raise ValueError(f'{folder}: {xml} has classes {sorted(classes - known)} that the '
                             f'protocol does not know ({", ".join(sorted(known))})')
        files += [image, xml]
    return dict(images=len(names), files=files, dataset=dict(
        data_root=folder, ann_file=image_set, data_prefix=dict(sub_data_root='VOC2007/')))


def _voc_classes(path: str) -> Set[str]:
    try:
        return {str(node.findtext('name')) for node in ET.parse(path).iter('object')}
    except ET.ParseError as error:
        raise ValueError(f'{path} is not valid XML: {error}') from error


# task -> how a folder becomes images (number), files (relative) and dataset (changed fields)
ADAPTERS: Dict[str, Callable[[Config, str], Dict[str, Any]]] = dict(detection=_voc_set)
