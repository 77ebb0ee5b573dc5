# Table 3, Pascal VOC.
_base_ = ['../_base_/datasets/voc0712_real_det.py', '../_base_/unidd_det.py']

model = dict(
    # the stock VOC schedule of proxy and students ignores smaller boxes
    min_box=32,
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_r50_voc0712.py',
        checkpoint='work_dirs/proxies/faster-rcnn_voc.pth'))
train_cfg = dict(budget=dict(type='Ratio', percent=1))
evaluation = dict(protocol='configs/_base_/protocols/det_voc.py')
