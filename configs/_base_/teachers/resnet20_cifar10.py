# ResNet-20 as the teacher of CIFAR-10. With published weights at the checkpoint it is not trained,
# see configs/benchmarks/README.md; without, by this schedule.
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet20_cifar.py',
                'configs/_base_/schedules/proxy_cifar.py',
                'configs/_base_/datasets/cifar10_cls.py',
                'configs/_base_/models/imagenet_colours.py',
            ],
            checkpoint='work_dirs/proxies/resnet20_cifar10.pth')))
