# ResNet-18 as the teacher of Tiny ImageNet, trained on it from scratch at 64 pixels. The datasets
# come last: their pipelines are for 64 pixels.
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet18_cifar.py',
                'configs/_base_/schedules/teacher_cls.py',
                'configs/_base_/datasets/tiny_imagenet_cls.py',
            ],
            checkpoint='work_dirs/teachers/resnet18_tiny_imagenet.pth')))
