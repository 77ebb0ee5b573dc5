# UniDD for instance segmentation, on MS COCO. Not in the paper.
_base_ = ['../_base_/datasets/coco_real_ins.py', '../_base_/unidd_det.py']

model = dict(
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/mask-rcnn_r50_coco.py',
        checkpoint='work_dirs/proxies/mask-rcnn_coco.pth',
        terms=dict(rpn_cls=1., rpn_bbox=1., cls=1., bbox=1., mask=1.)))
train_cfg = dict(budget=dict(type='Ratio', percent=1), writer=dict(type='COCOWriter'))
evaluation = dict(protocol='configs/_base_/protocols/ins_coco.py')
