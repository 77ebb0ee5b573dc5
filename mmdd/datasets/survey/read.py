"""Which format a folder has, and its survey."""
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from PIL import Image

from mmdd.utils.photograph import upright_size
from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed
from ..file_checks import UNREADABLE, decode
from .base import Record, Survey, Tree, few, unread_labels
from .boxes import fit_boxes
from .class_folders import read_class_folders
from .coco_json import coco_files, read_coco
from .masks import mask_pairs, read_masks
from .voc_xml import read_voc

# format -> task, whether a folder has it, who reads it; what tells more comes first
FORMATS: Dict[str, Tuple[str, Callable, Callable]] = {
    'COCO': ('det', coco_files, read_coco),
    'VOC': ('det', lambda tree: tree.with_suffix('.xml'), read_voc),
    'masks': ('seg', mask_pairs, read_masks),
    'class folders': ('cls', lambda tree: any('/' in file for file in tree.images),
                      read_class_folders),
}
TASKS = ('cls', 'det', 'seg')
# A class with fewer training images, and an image with a longer side in pixels, are named.
FEW_IMAGES, HUGE = 10, 4096
VAL_SHARE = 0.2


def read_survey(folder: str, task: str = 'auto', classes: Optional[Sequence[str]] = None,
                seed: int = 0) -> Survey:
    """Look at a folder of images and labels; nothing is written.

    Args:
        folder: The folder.
        task: 'cls', 'det', 'seg', or 'auto', what the files tell.
        classes: Class names; those of the files if None.
        seed: Seed of the validation split that is made where there is none.

    Raises:
        FileNotFoundError: If it is no folder.
        ValueError: If it holds no data of the task, or data that cannot be used.
    """
    if task != 'auto' and task not in TASKS:
        raise ValueError(f'task {task!r} is none of auto, {", ".join(TASKS)}')
    tree = Tree(folder)
    found = [name for name, (own, has, _) in FORMATS.items()
             if task in ('auto', own) and has(tree)]
    if not found:
        raise ValueError('; '.join(filter(None, (f'{folder}: {_MISSING[task]}',
                                                 unread_labels(tree)))))
    survey = FORMATS[found[0]][2](tree, classes)
    survey.oddities += tree.oddities()
    _look_at_images(survey)
    if survey.task == 'det':
        fit_boxes(survey)
    if not survey.splits.get('train'):
        raise ValueError(f'{folder}: no usable training image; '
                         f'{"; ".join(survey.oddities) or "is there a folder train?"}')
    _complete_splits(survey, seed)
    _report_counts(survey)
    others = [name for name in found[1:] if name != 'class folders']
    if others:
        survey.oddities.append(f'the folder also holds {" and ".join(others)}: '
                               f'--task {FORMATS[others[0]][0]} takes them')
    return survey


_MISSING = dict(
    auto='neither COCO JSON, VOC XML, masks nor class folders are in it; see docs/own_data.md',
    cls='no class folders in it: <class>/*.jpg, or train/<class>/*.jpg',
    det='no boxes in it: COCO JSON (images, annotations, categories) or VOC XML',
    seg='no masks in it: PNGs in a folder masks beside images, or <image>_mask.png')


def _look_at_images(survey: Survey) -> None:
    """Read every image; leave out those that cannot be read."""
    records = [record for own in survey.splits.values() for record in own]

    def look(record: Record):
        try:
            with Image.open(f'{survey.folder}/{record.image}') as picture:
                size, mode = upright_size(picture), picture.mode
                decode(picture)
            return record.image, size, mode
        except UNREADABLE:
            return record.image, None, ''
    progress, found = Progress('looking at the images', len(records)), []
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(look, records):
            found.append(result)
            progress.add()
    survey.sizes = {file: size for file, size, _ in found if size is not None}
    groups: Dict[str, List[str]] = {
        'images cannot be read and are left out': [f for f, size, _ in found if size is None],
        'images are grey; they are read with three equal channels': [
            file for file, _, mode in found if mode in ('1', 'L', 'LA', 'I', 'I;16', 'F')],
        'images have transparency, which is dropped': [
            file for file, _, mode in found if mode in ('RGBA', 'PA')],
        f'images are larger than {HUGE} pixels; they slow every epoch, shrink them first': [
            file for file, size in survey.sizes.items() if max(size) > HUGE],
    }
    survey.oddities += [f'{len(files)} {text} ({few(files)})'
                        for text, files in groups.items() if files]
    for split, own in survey.splits.items():
        survey.splits[split] = [record for record in own if record.image in survey.sizes]
    survey.splits = {split: own for split, own in survey.splits.items() if own}


def _complete_splits(survey: Survey, seed: int) -> None:
    """Split a validation set off where nothing could measure a student."""
    if 'val' in survey.splits or 'test' in survey.splits:
        return
    groups: Dict[str, List[Record]] = {}
    for record in survey.splits['train']:
        key = min(record.labels, default='') if survey.task == 'cls' else ''
        groups.setdefault(key, []).append(record)
    val = set()
    for key, records in sorted(groups.items()):
        number = round(len(records) * VAL_SHARE)
        if number == 0 and len(records) > 1:
            number = 1
        rng = random.Random(derive_seed('val', seed, key))
        val |= {record.image for record in rng.sample(records, number)}
    if not val:
        raise ValueError(f'{survey.folder}: {len(survey.splits["train"])} images are too few to '
                         f'split a validation set off')
    records = survey.splits['train']
    survey.splits = dict(train=[record for record in records if record.image not in val],
                         val=[record for record in records if record.image in val])
    survey.made = 'val'
    if survey.task == 'seg':
        survey.layout['val'] = survey.layout['train']
    survey.oddities.append(f'there is no validation split: {len(val)} of {len(records)} images '
                           f'were drawn for one (seed {seed})')


def _report_counts(survey: Survey) -> None:
    images = survey.images()
    rare = [f'{name} {images[name]}' for name in survey.classes if images[name] < FEW_IMAGES]
    if rare:
        survey.oddities.append(f'{len(rare)} classes have fewer than {FEW_IMAGES} training '
                               f'images ({few(rare)})')
    for split, own in survey.splits.items():
        bare = [record.image for record in own if not record.labels]
        if bare:
            unused = ' and are not trained on' if (split, survey.task) == ('train', 'det') else ''
            survey.oddities.append(f'{split}: {len(bare)} images have no object{unused} '
                                   f'({few(bare)})')
        names = Counter(record.image.rsplit('/', 1)[-1] for record in own)
        twice = sorted(name for name, number in names.items() if number > 1)
        if twice:
            survey.oddities.append(f'{split}: {len(twice)} file names occur more than once, in '
                                   f'different folders ({few(twice)})')
    splits = [{record.image.rsplit('/', 1)[-1] for record in own}
              for own in survey.splits.values()]
    shared: List[str] = sorted(set().union(
        *(a & b for i, a in enumerate(splits) for b in splits[:i])))
    if shared:
        survey.oddities.append(f'{len(shared)} file names occur in two splits; check that no '
                               f'test image is trained on ({few(shared)})')
