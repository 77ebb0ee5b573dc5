# Figure 6b, ImageWoof: the weight of L_r; the paper takes 0.002. A benchmark runs every value
# and keeps the weights of each, which the sets of all budgets share.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
            dict(model=dict(lambda_r=0.002)),
        ],
        checkpoint=None))
sweep = dict(
    key='model.fine_tune.cfg.1.model.lambda_r',
    values=[0.001, 0.002, 0.003, 0.004, 0.005, 0.008, 0.01])
