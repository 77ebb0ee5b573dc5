"""Write CIFAR-10 or CIFAR-100 as class folders of lossless PNGs.

    python tools/dataset_converters/cifar.py cifar-10-batches-py data/cifar10
    python tools/dataset_converters/cifar.py cifar-100-python data/cifar100

Reads the unpacked Python release. CIFAR-100 gets its 100 fine classes. Files are
<root>/{train,test}/<class>/<number in the release>.png.
"""
import argparse
import os.path as osp

import numpy as np

from mmdd.utils.arguments import ToolParser
from mmdd.utils.cli import run_cli
from mmdd.utils.io import atomic_save_image
from mmdd.utils.plain_pickle import load_pickle
from mmdd.utils.plain_types import UnsafeFileError

# table -> (file with the names, key of the names, key of the labels, files of the splits)
RELEASES = dict(
    cifar10=('batches.meta', 'label_names', 'labels', dict(
        train=[f'data_batch_{i}' for i in range(1, 6)], test=['test_batch'])),
    cifar100=('meta', 'fine_label_names', 'fine_labels', dict(train=['train'], test=['test'])))


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='folder of the unpacked release')
    parser.add_argument('root', help='folder to write to')
    return parser.parse_args()


def read_part(path):
    """The content of a file of the release, a dict with text keys; nothing in it can run.

    Raises:
        ValueError: If it is none, or asks for more than plain values.
    """
    try:
        with open(path, 'rb') as f:
            content = load_pickle(f, encoding='bytes')
        return {key.decode() if isinstance(key, bytes) else key: value
                for key, value in content.items()}
    except UnsafeFileError:
        raise
    except (AttributeError, ValueError) as e:
        raise ValueError(f'{path} is no file of CIFAR\'s Python release ({e}); unpack it again'
                         ) from None


def find_release(source):
    """Name of the table that the folder belongs to.

    Raises:
        FileNotFoundError: If it is no release.
        ValueError: If its classes are not in the order of the table.
    """
    from mmdd.datasets.class_names import class_names
    for name, (meta, key, _, _) in RELEASES.items():
        path = osp.join(source, meta)
        if osp.isfile(path):
            found = [v.decode() if isinstance(v, bytes) else v for v in read_part(path)[key]]
            if tuple(found) != class_names(name):
                raise ValueError(f'{path}: the classes are not those of {name} in their order; '
                                 f'unpack the original release')
            return name
    raise FileNotFoundError(f'{source} holds neither batches.meta (CIFAR-10) nor meta '
                            f'(CIFAR-100); give the folder of the unpacked Python release')


def write_split(source, files, label_key, classes, folder):
    """Write the images of one split and return how many there are."""
    number = 0
    for file in files:
        part = read_part(osp.join(source, file))
        images = np.asarray(part['data'], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for image, label in zip(images, part[label_key]):
            atomic_save_image(osp.join(folder, classes[label], f'{number:05d}.png'), image)
            number += 1
    return number


def main():
    args = parse_args()
    from mmdd.datasets.class_names import class_names
    name = find_release(args.source)
    _, _, label_key, splits = RELEASES[name]
    for split, files in splits.items():
        number = write_split(args.source, files, label_key, class_names(name),
                             osp.join(args.root, split))
        print(f'{name} {split}: {number} images in {osp.join(args.root, split)}')


if __name__ == '__main__':
    run_cli(main)
