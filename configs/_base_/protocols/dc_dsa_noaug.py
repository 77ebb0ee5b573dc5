# As dc_dsa.py without augmentation, for the augmentation-robust score of DD-Ranking
# (tools/analysis_tools/dd_ranking.py --noaug). Composed with a model and a dataset:
#   protocol=['configs/_base_/models/convnet3.py', 'configs/_base_/datasets/cifar10_cls.py',
#             'configs/_base_/protocols/dc_dsa_noaug.py']
_base_ = ['./dc_dsa.py']

model = dict(train_cfg=dict(augments=None))
