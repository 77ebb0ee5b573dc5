"""What wrappers hide of datasets, class names and their order."""
import pytest

from mmdd.datasets.subset import ClassSubset, HeldOut
from mmdd.datasets.views import (
    check_class_order,
    leaf_dataset,
    leaf_datasets,
    loader_dataset,
    plain_datasets,
    read_classes,
    wrapped_datasets,
)

NAMES = ('zebra', 'cat', 'dog')
FIRST, SECOND = dict(type='A', n=1), dict(type='A', n=2)
CONCAT = dict(type='ConcatDataset', datasets=[dict(type='Repeat', dataset=FIRST), SECOND])
NESTED = dict(type='Repeat', times=3, dataset=CONCAT)


class Plain:
    """Five images of the labels 0 1 2 0 1."""
    metainfo = dict(classes=NAMES)

    def get_gt_labels(self):
        import numpy as np
        return np.array([0, 1, 2, 0, 1])

    def get_data_info(self, index):
        return dict(index=index)

    def __getitem__(self, index):
        return f'image {index}'

    def __len__(self):
        return 5


def test_configs_inside_wrappers():
    assert leaf_datasets(NESTED) == [FIRST, SECOND] and leaf_dataset(NESTED) is FIRST
    assert wrapped_datasets(NESTED) == [NESTED, CONCAT]
    assert wrapped_datasets(FIRST) == [FIRST]
    cfg = dict(val_dataloader=None, train_dataloader=dict(dataset=NESTED))
    assert loader_dataset(cfg, 'test_dataloader', 'val_dataloader', 'train_dataloader') is FIRST
    assert loader_dataset(cfg, 'val_dataloader', 'test_dataloader') == {}


def test_built_datasets_inside_wrappers():
    one, other = Plain(), Plain()
    view = ClassSubset(one, [0])
    both = type('Concat', (), dict(datasets=[view, other]))()
    assert plain_datasets(both) == [one, other]


@pytest.mark.parametrize('view, indices', [
    (ClassSubset(Plain(), [2, 0]), [0, 2, 3]), (HeldOut(Plain(), True, 2), [0, 2, 4]),
    (HeldOut(Plain(), False, 2), [1, 3])])
def test_subsets(view, indices):
    assert [view[i] for i in range(len(view))] == [f'image {i}' for i in indices]
    assert [view.get_data_info(i)['index'] for i in range(len(view))] == indices
    assert view.metainfo['classes'] == NAMES


def test_class_names_of_a_config(tmp_path):
    def names(**dataset):
        return read_classes(dict(train_dataloader=dict(dataset=dict(
            type='RepeatDataset', dataset=dataset))), 'mmdet')

    (tmp_path / 'names.txt').write_text('zebra\ncat\n')
    assert names(type='CocoDataset', metainfo=dict(classes=list(NAMES))) == NAMES
    assert names(type='CocoDataset', metainfo=dict(classes=str(tmp_path / 'names.txt'))) == (
        'zebra', 'cat')
    assert names(type='CustomDataset', _scope_='mmpretrain', classes=NAMES) == NAMES
    assert names(type='VOCDataset')[:2] == ('aeroplane', 'bicycle')
    assert names(type='CustomDataset', _scope_='mmpretrain') is None
    assert names(type='OfNoPackage') is None and read_classes({}, 'mmdet') is None


def test_the_first_difference_of_classes_is_named():
    def check(found, known):
        check_class_order('f', found, 'the protocol', known, 'correct it')

    check(None, NAMES)
    check(NAMES, None)
    check(list(NAMES), NAMES)
    with pytest.raises(ValueError) as caught:
        check(NAMES, NAMES[:2])
    assert str(caught.value) == (
        "f has other classes than the protocol (3, the protocol 2): class 2 is 'dog' there and "
        'missing in the protocol; correct it')
    with pytest.raises(ValueError, match="another order: class 0 is 'zebra' there and 'cat' in"):
        check(NAMES, ('cat', 'zebra', 'dog'))
