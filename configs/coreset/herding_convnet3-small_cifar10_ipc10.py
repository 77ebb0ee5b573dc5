_base_ = './kcenter_convnet3-small_cifar10_ipc10.py'
model = dict(type='HerdingCoreset')
