# D4M on CIFAR-10, on a DiT that was trained on it in place of Stable Diffusion; not in the paper.
_base_ = '../_base_/cifar10_dit_cls.py'

model = dict(type='D4M', strength=0.7, statistics=dict(type='LatentClusters', expand=1))
