# 166 canvases of Pascal VOC 2007 + 2012 with the settings of the released code.
_base_ = ['mmdd::_base_/datasets/voc0712_real_det.py', 'mmdd::_base_/coreset_det.py']
custom_imports = dict(imports=['od3'])

model = dict(
    type='OD3',
    image_size=(484, 578),
    # the stock VOC schedule of observer and students ignores smaller boxes
    min_box=32,
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_r50_voc0712.py',
        checkpoint='work_dirs/proxies/faster-rcnn_voc.pth',
        relabel_thr=0.05),
    # The labels are what the observer sees, as in the released code.
    refiners=[dict(type='ProxyRefiner', threshold=0.)])
train_cfg = dict(budget=dict(type='Ratio', percent=1))
evaluation = dict(protocol='configs/_base_/protocols/det_voc.py')
