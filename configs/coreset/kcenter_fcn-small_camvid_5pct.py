_base_ = './random_fcn-small_camvid_5pct.py'
model = dict(
    type='KCenterCoreset',
    feature_size=(144, 192),
    proxy=dict(
        type='SegmentorProxy',
        cfg='configs/_base_/proxies/fcn_camvid.py',
        checkpoint='work_dirs/proxies/fcn_camvid.pth'))
