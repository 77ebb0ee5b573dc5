# The student of cls_digits.py without augmentation, for the augmentation-robust score of
# DD-Ranking (tools/analysis_tools/dd_ranking.py --noaug).
_base_ = ['./cls_digits.py']

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='mmdd.CachedSteps', steps=[dict(type='LoadImageFromFile')]),
            dict(type='Resize', scale=(32, 32), interpolation='area'),
            dict(type='PackInputs'),
        ]))
