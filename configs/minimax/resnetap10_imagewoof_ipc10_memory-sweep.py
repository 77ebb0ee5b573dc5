# Figure 6d, ImageWoof: the size of the memories; the paper takes 64. A benchmark runs every value
# and keeps the weights of each, which the sets of all budgets share.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
            dict(model=dict(memory_size=64)),
        ],
        checkpoint=None))
sweep = dict(
    key='model.fine_tune.cfg.1.model.memory_size',
    values=[16, 32, 64, 128, 256, 512, 1024])
