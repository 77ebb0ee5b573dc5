_base_ = './random_faster-rcnn-small_bccd_5pct.py'
model = dict(
    type='KCenterCoreset',
    feature_size=(144, 192),
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_bccd.py',
        checkpoint='work_dirs/proxies/faster-rcnn_bccd.pth'))
