"""Class names stand in the order in which the stock loaders number the classes."""
import pytest
from PIL import Image

from mmdd.datasets.class_names import (
    PAPER_IDS,
    TABLES,
    class_names,
    class_wnids,
    coco_category_ids,
    imagenet_indices,
    table_of,
)

SIZES = dict(imagenet=1000, imagenet100=100, tiny_imagenet=200, cifar10=10, cifar100=100, voc=20,
             voc_seg=21, coco=80, **{name: 10 for name in PAPER_IDS})


@pytest.mark.parametrize('name', TABLES)
def test_sizes(name):
    names = class_names(name)
    assert len(names) == SIZES[name] and all(n == n.strip() != '' for n in names)
    # the two cranes of ImageNet, a bird and a machine
    assert len(names) - len(set(names)) == (name == 'imagenet')


def test_stock_classification_tables():
    from mmpretrain.datasets import CIFAR10, CIFAR100, ImageNet
    for name, stock in (('imagenet', ImageNet), ('cifar10', CIFAR10), ('cifar100', CIFAR100)):
        assert class_names(name) == tuple(stock.METAINFO['classes'])


def test_stock_detection_and_segmentation_tables():
    from mmdet.datasets import CocoDataset, VOCDataset
    from mmseg.datasets import PascalVOCDataset
    for name, stock in (('voc', VOCDataset), ('coco', CocoDataset),
                        ('voc_seg', PascalVOCDataset)):
        assert class_names(name) == tuple(stock.METAINFO['classes'])


def test_cifar100_is_not_in_the_order_of_the_superclasses():
    """Prompts in that order name the wrong class for nearly every label."""
    names = class_names('cifar100')
    assert list(names) == sorted(names)
    # the superclass order begins with the aquatic mammals
    assert [names.index(n) for n in ('beaver', 'dolphin', 'otter', 'seal', 'whale')] == [
        4, 30, 55, 72, 95]


def test_known_wnids():
    """Spot checks that do not come from the tables."""
    wnids, names = class_wnids('imagenet'), class_names('imagenet')
    known = {0: ('n01440764', 'tench'), 207: ('n02099601', 'golden retriever'),
             281: ('n02123045', 'tabby'), 134: ('n02012849', 'crane'),
             517: ('n03126707', 'crane'), 574: ('n03445777', 'golf ball'),
             999: ('n15075141', 'toilet tissue')}
    assert {i: (wnids[i], names[i].split(',')[0]) for i in known} == known


@pytest.mark.parametrize('name', ['imagenet', 'imagenet100', 'tiny_imagenet', *PAPER_IDS])
def test_subsets_are_numbered_by_their_sorted_wnids(name):
    wnids, indices = class_wnids(name), imagenet_indices(name)
    assert list(wnids) == sorted(set(wnids)) and list(indices) == sorted(set(indices))
    assert [class_wnids('imagenet')[i] for i in indices] == list(wnids)
    if name in PAPER_IDS:
        assert set(indices) == set(PAPER_IDS[name])


def test_imageidc_is_a_part_of_imagenet100():
    assert set(class_wnids('imageidc')) < set(class_wnids('imagenet100'))
    assert class_names('imageidc')[-1] == 'gyromitra'


def test_paper_order_of_a_subset_is_another_one():
    """What the papers list is a set: ImageWoof's 193 comes first there and sixth here."""
    assert PAPER_IDS['imagewoof'][0] == 193
    assert imagenet_indices('imagewoof').index(193) == 5
    assert class_names('imagewoof')[5] == 'Australian terrier'


@pytest.mark.parametrize('name', ['imagewoof', 'imagefruit', 'tiny_imagenet'])
def test_class_folders_of_wnids_read_by_stock_mmpretrain(name, tmp_path):
    from mmpretrain.datasets import CustomDataset
    wnids = class_wnids(name)
    for wnid in reversed(wnids):
        (tmp_path / wnid).mkdir()
        Image.new('RGB', (2, 2)).save(tmp_path / wnid / f'{wnid}_1.png')
    dataset = CustomDataset(data_root=str(tmp_path), pipeline=[], serialize_data=False,
                            metainfo=dict(classes=class_names(name)))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert len(infos) == len(wnids)
    assert all(f'/{wnids[info["gt_label"]]}/' in info['img_path'] for info in infos)


def test_coco_ids():
    ids = coco_category_ids()
    assert len(ids) == 80 and ids[0] == 1 and ids[-1] == 90 and list(ids) == sorted(ids)
    names = dict(zip(ids, class_names('coco')))
    assert {13: 'stop sign', 27: 'backpack', 67: 'dining table', 70: 'toilet',
            84: 'book'}.items() <= names.items()


def test_table_of():
    assert table_of(list(class_names('imagewoof'))) == 'imagewoof'
    assert table_of(class_names('imagewoof')[::-1]) is None


def test_unknown_tables():
    with pytest.raises(ValueError, match="no class-name table 'imagewof'.*mean 'imagewoof'"):
        class_names('imagewof')
    with pytest.raises(ValueError, match="no class-name table 'coco'"):
        class_wnids('coco')
