# Where a name without a prefix is looked up; task configs set 'mmdet', 'mmpretrain' or 'mmseg'.
default_scope = 'mmdd'


default_hooks = dict(
    # time per iteration and the remaining time in the log
    timer=dict(type='IterTimerHook'),
    # a log line every `interval` iterations
    logger=dict(type='LoggerHook', interval=50),
    # steps the learning-rate and momentum schedules
    param_scheduler=dict(type='ParamSchedulerHook'),
    # saves a checkpoint every `interval` epochs (or iterations, with by_epoch=False)
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1),
    # another shuffle each epoch when training is distributed
    sampler_seed=dict(type='DistSamplerSeedHook'))

env_cfg = dict(
    # cuDNN's autotuner: faster for inputs of one size, but not reproducible
    cudnn_benchmark=False,
    # how data workers start; OpenCV's own threads would compete with them
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # communication of a distributed launch on GPU; on CPU it is always gloo. Ranks wait for the
    # first one while it plans and writes, longer than NCCL's own 10 minutes: seconds.
    dist_cfg=dict(backend='nccl', timeout=86400))

# Where pictures and scalars go, and who draws them.
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)

# The seed of everything random; deterministic=True also asks for deterministic kernels.
randomness = dict(seed=0, deterministic=False)

# How much is logged.
log_level = 'INFO'

# Weights to start from (no optimizer state), and whether to resume from the last checkpoint.
load_from = None
resume = False
