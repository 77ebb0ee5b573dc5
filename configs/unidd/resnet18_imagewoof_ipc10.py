# Tables 5 and 6, ImageWoof: the set of table 2, measured with a ResNet-18; table 6 measures it
# with larger networks too.
_base_ = './convnet5_imagewoof_ipc10.py'

hard_labels = ['configs/_base_/datasets/imagewoof_cls.py', 'configs/_base_/protocols/idc_hard.py']
evaluation = dict(
    protocol=['configs/_base_/models/resnet18.py'] + hard_labels,
    students={
        'ResNet-50': ['configs/_base_/models/resnet50.py'] + hard_labels,
        'ResNet-101': ['configs/_base_/models/resnet101.py'] + hard_labels,
    })
