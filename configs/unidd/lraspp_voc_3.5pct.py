# Table 4, Pascal VOC 2012: LR-ASPP with MobileNetV3.
_base_ = ['../_base_/datasets/voc2012_real_seg.py', '../_base_/unidd_seg.py']

model = dict(
    proxy=dict(
        type='SegmentorProxy',
        cfg=[
            'configs/_base_/models/lraspp_mobilenet-v3-l.py',
            'configs/_base_/datasets/voc2012_seg.py',
            'configs/_base_/schedules/proxy_seg.py',
        ],
        checkpoint='work_dirs/proxies/lraspp_voc.pth'))
train_cfg = dict(budget=dict(type='Ratio', percent=3.5))
evaluation = dict(protocol=[
    'configs/_base_/models/lraspp_mobilenet-v3-l.py',
    'configs/_base_/datasets/voc2012_seg.py',
    'configs/_base_/protocols/seg_voc.py',
])
