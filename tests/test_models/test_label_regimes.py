"""The regimes of labels by the config of a student, and their bytes counted by hand."""
import pytest

from mmdd.models.students.label_regimes import label_mib, label_regime, regime_of

LABELS = dict(epochs=4, topk=None)


def student(labels=None, teacher=None, **dataset):
    return dict(soft_labels=labels, model=dict(teacher=teacher),
                train_dataloader=dict(dataset=dataset))


@pytest.mark.parametrize('cfg, regime', [
    (student(), 'hard'), (student(teacher=dict(cfg={})), 'online'), (student(LABELS), 'epoch'),
    (student(LABELS, reuse=2), 'pool'), (student(dict(LABELS, batches=3)), 'pool'),
    (student(dict(LABELS, regime='image')), 'image')])
def test_the_regime_of_a_student(cfg, regime):
    assert label_regime(cfg) == regime


def test_the_regime_of_a_store():
    assert [regime_of(labels) for labels in (
        LABELS, dict(LABELS, batches=3), dict(LABELS, regime='image'))] == [
            'epoch', 'pool', 'image']


def test_bytes_of_labels():
    # a row: 29 bytes of augmentation, 2 for each of 10 classes; of an image as it is, no 29
    assert label_mib(student(LABELS), 10, 10) == 4 * 10 * (29 + 2 * 10) / 2**20
    assert label_mib(student(dict(epochs=1, topk=None, regime='image')), 10, 10) == (
        10 * 2 * 10 / 2**20)
    assert label_mib(student(LABELS), None, 10) is None
    assert label_mib(student(), None, 10) == 0
