"""Tables of class names in the order of the labels that stock dataset classes give.

A wrong order is the costliest mistake there is: every prompt names another class
than the label. So each table has the order of the stock loader: folders of
ImageNet and its subsets are read in the order of their WordNet ids (wnids),
CIFAR's fine labels are alphabetical, VOC and COCO as in mmdet and mmseg.
"""
import difflib
import os.path as osp
import re
from functools import cache
from typing import Dict, List, Optional, Sequence, Tuple

Names = Tuple[str, ...]

CIFAR10 = (
    'airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck',
)
CIFAR100 = (
    'apple', 'aquarium_fish', 'baby', 'bear', 'beaver', 'bed', 'bee', 'beetle', 'bicycle',
    'bottle', 'bowl', 'boy', 'bridge', 'bus', 'butterfly', 'camel', 'can', 'castle',
    'caterpillar', 'cattle', 'chair', 'chimpanzee', 'clock', 'cloud', 'cockroach', 'couch',
    'crab', 'crocodile', 'cup', 'dinosaur', 'dolphin', 'elephant', 'flatfish', 'forest', 'fox',
    'girl', 'hamster', 'house', 'kangaroo', 'keyboard', 'lamp', 'lawn_mower', 'leopard',
    'lion', 'lizard', 'lobster', 'man', 'maple_tree', 'motorcycle', 'mountain', 'mouse',
    'mushroom', 'oak_tree', 'orange', 'orchid', 'otter', 'palm_tree', 'pear', 'pickup_truck',
    'pine_tree', 'plain', 'plate', 'poppy', 'porcupine', 'possum', 'rabbit', 'raccoon', 'ray',
    'road', 'rocket', 'rose', 'sea', 'seal', 'shark', 'shrew', 'skunk', 'skyscraper', 'snail',
    'snake', 'spider', 'squirrel', 'streetcar', 'sunflower', 'sweet_pepper', 'table', 'tank',
    'telephone', 'television', 'tiger', 'tractor', 'train', 'trout', 'tulip', 'turtle',
    'wardrobe', 'whale', 'willow_tree', 'wolf', 'woman', 'worm',
)
VOC = (
    'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
    'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa',
    'train', 'tvmonitor',
)
COCO = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat',
    'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack',
    'umbrella', 'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball',
    'kite', 'baseball bat', 'baseball glove', 'skateboard', 'surfboard', 'tennis racket',
    'bottle', 'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple',
    'sandwich', 'orange', 'broccoli', 'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair',
    'couch', 'potted plant', 'bed', 'dining table', 'toilet', 'tv', 'laptop', 'mouse',
    'remote', 'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator',
    'book', 'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush',
)
WNID = re.compile(r'n\d{8}')
# COCO numbers its classes from 1 to 90 and leaves ten numbers out.
_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

# ImageNet indices of the ten-class subsets, in the order in which the papers list
# them (DC / MTT; peers sometimes label in this order). The labels here are the
# positions in the sorted list, as class folders of wnids are read.
PAPER_IDS: Dict[str, Tuple[int, ...]] = dict(
    imagenette=(0, 217, 482, 491, 497, 566, 569, 571, 574, 701),
    imagewoof=(193, 182, 258, 162, 155, 167, 159, 273, 207, 229),
    imagefruit=(953, 954, 949, 950, 951, 957, 952, 945, 943, 948),
    imagemeow=(281, 282, 283, 284, 285, 291, 292, 290, 289, 287),
    imagesquawk=(84, 130, 88, 144, 145, 22, 96, 9, 100, 89),
    imageyellow=(309, 986, 954, 951, 987, 779, 599, 291, 72, 11),
    imageidc=(452, 64, 374, 236, 993, 176, 882, 904, 503, 74))
# Subsets as lists of wnids beside this file; ImageNet-100 in the order of the papers, which
# cut it into phases and ImageIDC, its first ten.
_LISTED: Names = ('imagenet100', 'tiny_imagenet')
_PLAIN: Dict[str, Names] = dict(
    cifar10=CIFAR10, cifar100=CIFAR100, voc=VOC, voc_seg=('background', ) + VOC, coco=COCO)
TABLES: Names = ('imagenet', *PAPER_IDS, *_LISTED, *_PLAIN)


def class_names(name: str) -> Names:
    """Class names of a dataset by label index.

    Args:
        name: One of :data:`TABLES`. 'imagenet' has the full synsets, as
            ``mmpretrain.ImageNet``; its subsets have the first synonym of each.

    Raises:
        ValueError: If the dataset is unknown.
    """
    _check(name, TABLES)
    if name in _PLAIN:
        return _PLAIN[name]
    if name == 'imagenet':
        return tuple(names for _, names in _imagenet())
    return tuple(_imagenet()[i][1].split(',')[0] for i in imagenet_indices(name))


def class_wnids(name: str) -> Names:
    """WordNet ids, the folder names, by label index; they are sorted.

    Raises:
        ValueError: If the dataset is unknown or no subset of ImageNet.
    """
    return tuple(_imagenet()[i][0] for i in imagenet_indices(name))


def imagenet_indices(name: str) -> Tuple[int, ...]:
    """ImageNet-1k class indices of a subset by label index; they ascend.

    Raises:
        ValueError: If the dataset is unknown or no subset of ImageNet.
    """
    _check(name, ('imagenet', *PAPER_IDS, *_LISTED))
    if name == 'imagenet':
        return tuple(range(len(_imagenet())))
    if name in _LISTED:
        order = {wnid: i for i, (wnid, _) in enumerate(_imagenet())}
        return tuple(sorted(order[wnid] for wnid in _lines(f'{name}.txt')))
    return tuple(sorted(PAPER_IDS[name]))


def coco_category_ids() -> Tuple[int, ...]:
    """COCO's own category ids, 1 to 90 with gaps, by label index."""
    return tuple(i for i in range(1, 91) if i not in _COCO_GAPS)


@cache
def _table_by_names() -> Dict[Names, str]:
    return {class_names(name): name for name in TABLES}


def table_of(classes: Sequence[str]) -> Optional[str]:
    """The table that has exactly these names in this order; None if there is none."""
    return _table_by_names().get(tuple(classes))


@cache
def synset_names() -> Dict[str, str]:
    """ImageNet-1k's synsets, 'tench, Tinca tinca', by WordNet id."""
    return dict(_imagenet())


def spoken_names(classes: Sequence[str]) -> Names:
    """Class names that a prompt can say: WordNet ids of ImageNet become their first synonym.

    Args:
        classes: Class names by label index, such as the folder names of an ImageNet subset.

    Raises:
        ValueError: If a name is a WordNet id that is not known.
    """
    unknown = [name for name in classes
               if WNID.fullmatch(name) and name not in synset_names()]
    if unknown:
        raise ValueError(
            f'{len(unknown)} class names are WordNet ids that ImageNet-1k does not have '
            f'({", ".join(unknown[:3])}), which no prompt should say: give '
            f'train_dataloader.dataset metainfo=dict(classes=...) with words')
    return tuple(synset_names()[name].split(',')[0] if WNID.fullmatch(name) else name
                 for name in classes)


def _check(name: str, known: Sequence[str]) -> None:
    if name not in known:
        close = difflib.get_close_matches(str(name), known, 1)
        hint = f'; did you mean {close[0]!r}?' if close else ''
        raise ValueError(f'there is no class-name table {name!r} ({", ".join(known)}){hint}')


@cache
def _imagenet() -> List[Tuple[str, str]]:
    return [(wnid, name) for wnid, name in (
        line.split(' ', 1) for line in _lines('imagenet.txt'))]


def _lines(name: str) -> List[str]:
    with open(osp.join(osp.dirname(__file__), name), encoding='utf-8') as f:
        return f.read().splitlines()
