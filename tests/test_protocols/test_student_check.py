"""A student's network is looked at once, before any is trained."""
import copy
from functools import cache

import pytest
import tiny
from mmengine.config import Config

from mmdd.protocols.student_check import check_student

JOBS = dict(
    classifier=(tiny.classifier_job, tiny.class_folders, 10),
    detector=(tiny.detector_job, tiny.voc_dataset, 10),
    segmentor=(tiny.segmentor_job, tiny.mask_dataset, 11))


@cache
def job(kind, digits):
    make, dataset, classes = JOBS[kind]
    loader = dict(batch_size=4, num_workers=2, persistent_workers=True,
                  dataset=dataset(digits, split='val' if kind != 'classifier' else 'train'),
                  sampler=dict(type='DefaultSampler', shuffle=True))
    if kind == 'detector':
        loader['dataset']['pipeline'].insert(1, dict(type='Resize', scale=(32, 32)))
    cfg = Config(dict(make(digits), test_dataloader=loader))
    if kind == 'segmentor':  # mmseg tests images one by one
        cfg.model.data_preprocessor.test_cfg = dict(size=(32, 32))
    return cfg, classes


@pytest.mark.parametrize('kind', JOBS)
def test_sound_students_pass(digits, kind):
    cfg, classes = job(kind, digits)
    check_student(cfg, classes)
    check_student(cfg, 0)
    soft = copy.deepcopy(cfg)
    soft.model = dict(type='mmdd.SoftLabelClassifier', student=cfg.model, teacher=dict(cfg='no'))
    check_student(soft, classes)


@pytest.mark.parametrize('kind, options, words', [
    ('classifier', {'model.type': 'ImageClasifier'}, "'ImageClasifier'; did you mean 'ImageClas"),
    ('classifier', {'model.backbone.type': 'ResNot'}, 'network cannot be built (KeyError: ResNot'),
    ('classifier', {'model.head.num_classes': 7},
     'model.head is for 7 classes, the training set of the protocol has 10: set num_classes=10'),
    ('classifier', {'model.head.in_channels': 8}, 'does not take what the test pipeline gives'),
    ('classifier', {'model.data_preprocessor.mean': [0., 1.]},
     'does not take what the test pipeline gives (RuntimeError'),
    ('classifier', {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='/no.pth')},
     'it starts from /no.pth, which is not there'),
    ('classifier', {'test_dataloader.dataset.data_root': '/nowhere'},
     "the test set cannot be read ([Errno 2] No such file or directory: '/nowhere/"),
    ('detector', {'model.roi_head.bbox_head.num_classes': 3},
     'model.roi_head.bbox_head is for 3 classes, the training set of the protocol has 10'),
    ('detector', {'model.neck.in_channels': [8, 8]}, 'does not take what the test pipeline gives'),
    ('segmentor', {'model.decode_head.num_classes': 12}, 'model.decode_head is for 12 classes'),
])
def test_what_cannot_be_is_said_in_one_line(digits, kind, options, words):
    cfg, classes = job(kind, digits)
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    with pytest.raises(ValueError) as caught:
        check_student(cfg, classes)
    message = str(caught.value)
    assert words in message and '\n' not in message and len(message) < 400
    assert message.startswith('no student can be trained: ') or 'did you mean' in message
