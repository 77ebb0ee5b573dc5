# Table 3, MS COCO.
_base_ = ['../_base_/datasets/coco_real_det.py', '../_base_/unidd_det.py']

model = dict(
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_r50_coco.py',
        checkpoint='work_dirs/proxies/faster-rcnn_coco.pth'))
train_cfg = dict(budget=dict(type='Ratio', percent=1), writer=dict(type='COCOWriter'))
evaluation = dict(protocol='configs/_base_/protocols/det_coco.py')
