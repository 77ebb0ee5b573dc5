# 10 images a digit whose features have the mean of the real ones; no network and no GPU needed.
_base_ = [
    'mmdd::_base_/datasets/digits_real_cls.py',
    'mmdd::_base_/distill_runtime.py',
]
custom_imports = dict(imports=['distribution_matching'])

model = dict(
    type='DM',
    # for a CPU core; 20000 iterations, 256 real images and 128 channels in the paper
    iterations=300,
    real_batch=64,
    network=dict(
        type='mmdd.ConvNet', widths=(32, 32, 32), conv_bias=True, final_pool=True, flatten=True),
    # a mirrored digit is no digit
    augment=dict(strategy=('color', 'crop', 'cutout', 'scale', 'rotate')),
    image_size=32)
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=10,
    max_rounds=1)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
