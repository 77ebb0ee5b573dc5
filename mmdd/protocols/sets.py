"""The set that a student trains on: a folder in the format of its protocol, or the real set."""
import glob
import os.path as osp
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from mmdd.datasets.formats import SetContent, SetFormat, all_formats
from mmdd.datasets.manifest import check_set_files, read_manifest
from mmdd.datasets.real_files import full_content, image_folder
from mmdd.datasets.views import check_class_order, leaf_dataset, leaf_datasets, read_classes
from mmdd.utils.components import short_name

# What stands in place of a folder for the protocol's own real set.
FULL = 'full'
# Fields of a dataset that tell its images.
IMAGE_KEYS = ('data_root', 'ann_file', 'data_prefix', 'split', 'indices')
ORDER_FIX = 'distill with the metainfo.classes of the protocol'


def set_content(protocol: Config, folder: str) -> SetContent:
    """Check a set, and say what it is made of and how the protocol's training set reads it.

    FileNotFoundError where it is incomplete; ValueError where it is empty, changed, of another
    task or format, or its classes are not those of the protocol, in the same order.
    """
    if folder == FULL:
        return full_content(protocol.train_dataloader.dataset)
    if not osp.isdir(folder):
        raise FileNotFoundError(f'set folder {folder} not found')
    manifest = read_manifest(folder)
    check_set_files(folder, manifest)
    wanted = wanted_format(protocol)
    if not wanted.lists(folder):
        raise _misfit(protocol, folder, wanted)
    classes = protocol_classes(protocol)
    check_class_order(folder, manifest.get('classes'), 'the protocol', classes, ORDER_FIX)
    return wanted.content(folder, leaf_dataset(protocol.train_dataloader.dataset), classes)


def wanted_format(protocol: Config) -> SetFormat:
    """The format that the protocol's training set reads: detection has two."""
    leaf = leaf_dataset(protocol.train_dataloader.dataset)
    return next(each for each in all_formats()
                if each.task == protocol.protocol.task and each.reads(leaf))


def _misfit(protocol: Config, folder: str, wanted: SetFormat) -> Exception:
    """Why a folder without the wanted lists cannot be used."""
    other = next((each for each in all_formats() if each.lists(folder)), None)
    if other is None:
        return FileNotFoundError(f'{folder} is not a set in {wanted.name} layout: {wanted.marker} '
                                 f'not found')
    if other.task != wanted.task:
        return ValueError(f'{folder} is a {other.task} set ({other.name} layout), the protocol is '
                          f'for {wanted.task}: give a protocol for {other.task}')
    kind = short_name(leaf_dataset(protocol.train_dataloader.dataset)['type'])
    return ValueError(f'{folder} is in {other.name} layout, the protocol reads {wanted.name} '
                      f'layout ({kind}): distill with {wanted.writer.__name__} instead of '
                      f'{other.writer.__name__}, or give a protocol that reads {other.name} '
                      f'layout')


def protocol_classes(cfg: Config, task: Optional[str] = None) -> Optional[Tuple[str, ...]]:
    """Class names by index of the training set of a protocol, or of a config for ``task``.

    They come from its config, from its dataset class, or from the sorted folders of the
    real set where these are the classes; None where nothing tells.
    """
    names = read_classes(cfg, cfg.get('default_scope') or 'mmengine')
    leaf = leaf_dataset(cfg.train_dataloader.dataset)
    task = task or cfg.protocol.task
    if not names and task == 'classification' and not leaf.get('ann_file'):
        folders = glob.glob(osp.join(glob.escape(image_folder(leaf)), '*', ''))
        names = tuple(sorted(osp.basename(osp.dirname(name)) for name in folders))
    return names or None


def check_job_fits(job: Config, protocol: Config) -> None:
    """Check, before anything is distilled, that a protocol can read what a job will write.

    The writer's format and the classes of the real set must be the protocol's, and its test
    split another set; else ValueError.
    """
    wanted, writer = wanted_format(protocol), short_name(job.train_cfg.writer['type'])
    written = next((each for each in all_formats() if each.writer.__name__ == writer), wanted)
    if written.name != wanted.name:
        raise ValueError(f'{writer} writes {written.name} layout, the protocol of '
                         f'evaluation.protocol is for {wanted.task} and reads {wanted.name} '
                         f'layout: take {wanted.writer.__name__}, or another protocol')
    check_class_order('the real set of train_dataloader', protocol_classes(job, wanted.task),
                      'the protocol', protocol_classes(protocol), ORDER_FIX)
    real, test = (images_of(cfg, loader) for cfg, loader in (
        (job, 'train_dataloader'), (protocol, 'test_dataloader')))
    if test and real == test:
        raise ValueError(f'train_dataloader.dataset is the split that the protocol tests on '
                         f'({test[0].get("ann_file") or test[0].get("data_root")}): students '
                         f'would be measured on what their set was made of; distill the training '
                         f'split')


def images_of(cfg: Config, loader: str, *more: str) -> List[Dict[str, Any]]:
    """What tells which images each dataset of a dataloader reads, and ``more`` fields of it."""
    dataset = (cfg.get(loader) or {}).get('dataset')
    return [] if not dataset else [{key: leaf[key] for key in (*IMAGE_KEYS, *more)
                                    if leaf.get(key)} for leaf in leaf_datasets(dataset)]
