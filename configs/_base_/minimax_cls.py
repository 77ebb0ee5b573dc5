# Minimax Diffusion, settings of section 4.1 and, where it leaves them open or differs, of the
# released code, which the published figures come from. A leaf adds the real set, its classes in
# the DiT, the fine-tuning, the budget and the students.
_base_ = ['./diffusions/dit_xl2.py', './distill_runtime.py']

model = dict(
    type='Minimax',
    image_size=256,
    # the moving average, which the released code samples from
    fine_tune=dict(type='FineTuned', weights='ema'))
train_cfg = dict(
    type='DistillLoop', writer=dict(type='ClassFolderWriter', folders='wnid'), batch_size=8,
    max_rounds=1)
