"""Losses of a batch, image by image: beside one call of stock mmdet for each image."""
import copy

import numpy as np
import pytest
import tiny
import torch
from mmengine.structures import InstanceData
from torch.testing import assert_close

from mmdd.models import DetectorProxy
from mmdd.models.proxies.detector_losses import holds_batch, image_losses, image_of
from mmdd.structures import DistillSlot, slot_seed
from mmdd.utils.seed import derive_seed

BOXES = [[[4, 4, 16, 20]], [[2, 3, 12, 12], [15, 10, 30, 28]], [],
         [[10, 1, 20, 11], [1, 20, 9, 31], [20, 20, 30, 30]]]
LABELS = [[3], [7, 1], [], [2, 2, 9]]
ASSIGNER = dict(type='MaxIoUAssigner', pos_iou_thr=.5, neg_iou_thr=.4, min_pos_iou=0,
                ignore_iof_thr=-1)
CODER = dict(type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[1.] * 4)
FOCAL = dict(type='FocalLoss', use_sigmoid=True, gamma=2., alpha=.25, loss_weight=1.)
ANCHORS = dict(type='AnchorGenerator', ratios=[1.], octave_base_scale=3, scales_per_octave=1,
               strides=[4, 8])
HEADS = dict(
    RetinaHead=dict(anchor_generator=ANCHORS, bbox_coder=CODER, loss_cls=FOCAL,
                    loss_bbox=dict(type='L1Loss')),
    ATSSHead=dict(anchor_generator=ANCHORS, bbox_coder=CODER, loss_cls=FOCAL, norm_cfg=None,
                  assigner=dict(type='ATSSAssigner', topk=9), loss_bbox=dict(type='GIoULoss'),
                  loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True)),
    GFLHead=dict(anchor_generator=ANCHORS, norm_cfg=None, reg_max=7,
                 assigner=dict(type='ATSSAssigner', topk=9),
                 loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
                 loss_dfl=dict(type='DistributionFocalLoss'), loss_bbox=dict(type='GIoULoss')),
    FCOSHead=dict(strides=[4, 8], regress_ranges=((-1, 16), (16, 100)), norm_cfg=None))


def one_stage(head):
    model = tiny.detector()
    for name in ('rpn_head', 'roi_head', 'train_cfg', 'test_cfg'):
        del model[name]
    settings = dict(HEADS[head])
    train_cfg = dict(allowed_border=-1, pos_weight=-1, debug=False,
                     assigner=settings.pop('assigner', ASSIGNER))
    return dict(model, type='SingleStageDetector', train_cfg=train_cfg, test_cfg=dict(),
                bbox_head=dict(type=head, num_classes=10, in_channels=16, feat_channels=16,
                               stacked_convs=1, **settings))


def cascade_rcnn():
    model = tiny.detector()
    roi, rcnn = model['roi_head'], model['train_cfg']['rcnn']
    model.update(type='CascadeRCNN', roi_head=dict(
        type='CascadeRoIHead', num_stages=2, stage_loss_weights=[1, .5],
        bbox_roi_extractor=roi['bbox_roi_extractor'], bbox_head=[roi['bbox_head']] * 2))
    model['train_cfg']['rcnn'] = [rcnn, copy.deepcopy(rcnn)]
    return model


def detr():
    """A detector whose head reads a decoder's queries: no dense head of features."""
    model = tiny.detector()
    for name in ('rpn_head', 'roi_head', 'neck'):
        del model[name]
    attention = dict(embed_dims=16, num_heads=2)
    ffn = dict(embed_dims=16, feedforward_channels=16, num_fcs=2,
               act_cfg=dict(type='ReLU', inplace=True))
    return dict(
        model, type='DETR', num_queries=5,
        neck=dict(type='ChannelMapper', in_channels=[16], kernel_size=1, out_channels=16,
                  norm_cfg=None, num_outs=1),
        backbone=dict(model['backbone'], out_indices=(1, )),
        encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
        decoder=dict(num_layers=1, return_intermediate=True, layer_cfg=dict(
            self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn)),
        positional_encoding=dict(num_feats=8, normalize=True),
        bbox_head=dict(type='DETRHead', num_classes=10, embed_dims=16, loss_cls=dict(
            type='CrossEntropyLoss', bg_cls_weight=.1, class_weight=1.)),
        train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=[
            dict(type='ClassificationCost', weight=1.),
            dict(type='BBoxL1Cost', weight=5., box_format='xywh')])),
        test_cfg=dict(max_per_img=5))


MODELS = dict(FasterRCNN=tiny.detector, CascadeRCNN=cascade_rcnn, DETR=detr,
              **{head: lambda head=head: one_stage(head) for head in HEADS})


def build(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DetectorProxy(dict(model=MODELS[name](), default_scope='mmdet'))


def slots():
    return [DistillSlot(i, slot_seed(0, i), (32, 32), np.array(labels, np.int64),
                        np.array(boxes, np.float32).reshape(-1, 4))
            for i, (boxes, labels) in enumerate(zip(BOXES, LABELS))]


def inputs(proxy):
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x, factor, size = proxy._inputs(images)
    samples = []
    for i, slot in enumerate(slots()):
        sample = proxy._data_sample(x, size, i)
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(slot.bboxes), labels=torch.from_numpy(slot.labels))
        samples.append(sample)
    return x, samples, [derive_seed('proxy', slot.seed) for slot in slots()]


def terms(losses):
    """Every loss term of one image as a number."""
    return {name: sum(part.mean() for part in value) if isinstance(value, (list, tuple))
            else value.mean() for name, value in losses.items() if 'loss' in name}


@pytest.mark.parametrize('name', MODELS)
def test_values_and_gradients_are_those_of_one_call_an_image(name):
    proxy = build(name)
    x, samples, seeds = inputs(proxy)
    x.requires_grad_()
    together = [terms(found) for found in image_losses(
        proxy.model, x, copy.deepcopy(samples), seeds)]
    gradient = torch.autograd.grad(sum(sum(found.values()) for found in together), x)[0]
    for i, found in enumerate(together):
        alone = x[i:i + 1].detach().clone().requires_grad_()
        torch.manual_seed(seeds[i])
        expected = terms(proxy.model.loss(alone, copy.deepcopy(samples[i:i + 1])))
        assert set(found) == set(expected) and len(found) > 1
        assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert sum(expected.values()) > 0
        own = torch.autograd.grad(sum(expected.values()), alone)[0]
        assert_close(gradient[i:i + 1], own, atol=1e-5 * float(own.abs().max()), rtol=1e-4)
        assert own.abs().sum() > 0


@pytest.mark.parametrize('name, networks, calls', [
    ('FasterRCNN', ('backbone', 'rpn_head.rpn_conv', 'roi_head.bbox_head'), (1, 2, 1)),
    ('CascadeRCNN', ('backbone', 'rpn_head.rpn_conv', 'roi_head.bbox_head.0'), (1, 2, 4)),
    ('FCOSHead', ('backbone', 'bbox_head.conv_cls'), (1, 2)),
    ('DETR', ('backbone', 'bbox_head.fc_cls'), (4, 4))])
def test_networks_run_once_for_the_batch(name, networks, calls):
    """On two levels where they read maps; for each image where the detector is of another kind."""
    proxy, seen = build(name), []
    for network in networks:
        proxy.model.get_submodule(network).register_forward_hook(
            lambda module, args, out, network=network: seen.append(network))
    image_losses(proxy.model, *inputs(proxy))
    assert tuple(map(seen.count, networks)) == calls


def test_nested_outputs_of_one_image():
    outputs = (torch.arange(6).view(3, 2), [torch.zeros(3), torch.ones(3, 1, 4)])
    assert holds_batch(outputs, 3) and not holds_batch(outputs, 2)
    assert not holds_batch((torch.zeros(3), None), 3) and not holds_batch(torch.tensor(3), 3)
    first, (second, third) = image_of(outputs, 1)
    assert first.tolist() == [[2, 3]] and second.tolist() == [0]
    assert third.shape == (1, 1, 4) and isinstance(image_of(outputs, 0)[1], list)
