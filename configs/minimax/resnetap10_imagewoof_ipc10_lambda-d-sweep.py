# Figure 6c, ImageWoof: the weight of L_d; the paper takes 0.008. A benchmark runs every value
# and keeps the weights of each, which the sets of all budgets share.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
            dict(model=dict(lambda_d=0.008)),
        ],
        checkpoint=None))
sweep = dict(
    key='model.fine_tune.cfg.1.model.lambda_d',
    values=[0.002, 0.005, 0.008, 0.01, 0.015, 0.02, 0.03])
