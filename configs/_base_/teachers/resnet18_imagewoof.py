# ResNet-18 as the teacher of ImageWoof, trained on it from scratch.
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet18.py',
                'configs/_base_/datasets/imagewoof_cls.py',
                'configs/_base_/schedules/teacher_cls.py',
            ],
            checkpoint='work_dirs/teachers/resnet18_imagewoof.pth')))
