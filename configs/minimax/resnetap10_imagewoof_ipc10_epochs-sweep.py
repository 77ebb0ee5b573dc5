# Figure 6a, ImageWoof: epochs of the fine-tuning; the paper takes 8. A benchmark runs every value
# and keeps the weights of each, which the sets of all budgets share.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
            dict(train_cfg=dict(max_epochs=8)),
        ],
        checkpoint=None))
sweep = dict(key='model.fine_tune.cfg.1.train_cfg.max_epochs', values=[2, 4, 6, 8, 10, 12])
