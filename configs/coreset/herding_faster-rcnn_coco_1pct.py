_base_ = './kcenter_faster-rcnn_coco_1pct.py'
model = dict(type='HerdingCoreset')
