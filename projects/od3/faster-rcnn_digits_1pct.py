# 10 canvases of the objects of 1,000 digit scenes; no network and no GPU needed. The settings were
# chosen on the validation split, see README.md.
_base_ = ['mmdd::_base_/datasets/digits_real_det.py', 'mmdd::_base_/coreset_det.py']
custom_imports = dict(imports=['od3'])

model = dict(
    type='OD3',
    image_size=64,
    # The largest digits are 35 pixels high: none is shrunk.
    max_object=0.6,
    outline=True,
    overlap=0.2,
    balance=True,
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_digits.py',
        checkpoint='work_dirs/digits/faster-rcnn_proxy.pth'))
train_cfg = dict(budget=dict(type='Ratio', percent=1))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/det_digits.py')
