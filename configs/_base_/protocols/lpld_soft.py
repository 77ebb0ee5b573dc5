# As fkd_soft.py with a pool of labelled batches as in LPLD (https://arxiv.org/abs/2410.15919): a
# fortieth of the labels is stored, and every epoch draws its batches from these. Composed with a
# model and a dataset:
#   protocol=['configs/_base_/models/resnet18.py', 'configs/_base_/datasets/imagenet_cls.py',
#             'configs/_base_/protocols/lpld_soft.py']
_base_ = ['./fkd_soft.py']

train_dataloader = dict(batch_size=128)

protocol = dict(
    schedule=dict(
        batch_size=128,
        # 1 - pruning ratio; the paper has 1/10 to 1/100
        keep=1 / 40))
