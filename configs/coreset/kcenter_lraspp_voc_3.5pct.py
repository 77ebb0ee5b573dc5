_base_ = './random_lraspp_voc_3.5pct.py'
model = dict(
    type='KCenterCoreset',
    feature_size=512,
    proxy=dict(
        type='SegmentorProxy',
        cfg=[
            'configs/_base_/models/lraspp_mobilenet-v3-l.py',
            'configs/_base_/datasets/voc2012_seg.py',
            'configs/_base_/schedules/proxy_seg.py',
        ],
        checkpoint='work_dirs/proxies/lraspp_voc.pth'))
