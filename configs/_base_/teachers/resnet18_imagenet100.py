# ResNet-18 as the teacher of ImageNet-100, trained on it from scratch.
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet18.py',
                'configs/_base_/datasets/imagenet100_cls.py',
                'configs/_base_/schedules/teacher_cls.py',
            ],
            checkpoint='work_dirs/teachers/resnet18_imagenet100.pth')))
