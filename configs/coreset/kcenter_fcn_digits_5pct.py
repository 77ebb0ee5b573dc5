_base_ = './random_fcn_digits_5pct.py'
model = dict(
    type='KCenterCoreset',
    feature_size=64,
    proxy=dict(
        type='SegmentorProxy',
        cfg='configs/_base_/proxies/fcn_digits.py',
        checkpoint='work_dirs/digits/fcn_proxy.pth'))
