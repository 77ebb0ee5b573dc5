# Minimax fine-tuning of a DiT, section 4.1 of the paper. A config adds the DiT, the real set
# and `train_dataloader = {{_base_.fine_tune_dataloader}}`.
_base_ = '../default_runtime.py'

model = dict(
    type='MinimaxFineTuner',
    lambda_r=0.002,
    lambda_d=0.008,
    memory_size=64,
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.],
        to_rgb=True))

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.))
custom_hooks = [dict(type='FineTuneCheckHook')]
