# ResNet-18 as the teacher of ImageNette, trained on it from scratch.
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet18.py',
                'configs/_base_/datasets/imagenette_cls.py',
                'configs/_base_/schedules/teacher_cls.py',
            ],
            checkpoint='work_dirs/teachers/resnet18_imagenette.pth')))
