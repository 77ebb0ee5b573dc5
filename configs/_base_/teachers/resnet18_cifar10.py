# ResNet-18 as the teacher of CIFAR-10, trained on it from scratch at 32 pixels. The dataset
# comes after the schedule: its pipelines are for 32 pixels. RDED takes the colours of ImageNet.
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet18_cifar.py',
                'configs/_base_/schedules/teacher_cls.py',
                'configs/_base_/datasets/cifar10_cls.py',
                'configs/_base_/models/imagenet_colours.py',
            ],
            checkpoint='work_dirs/teachers/resnet18_cifar10.pth')))
