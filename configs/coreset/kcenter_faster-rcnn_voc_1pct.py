_base_ = './random_faster-rcnn_voc_1pct.py'
model = dict(
    type='KCenterCoreset',
    feature_size=512,
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_r50_voc0712.py',
        checkpoint='work_dirs/proxies/faster-rcnn_voc.pth'))
