_base_ = './random_faster-rcnn_digits_5pct.py'
model = dict(
    type='KCenterCoreset',
    feature_size=64,
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_digits.py',
        checkpoint='work_dirs/digits/faster-rcnn_proxy.pth'))
