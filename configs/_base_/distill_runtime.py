_base_ = './default_runtime.py'

# Nothing is optimised and no checkpoint is saved: what is learned is the dataset.
optim_wrapper = dict()
default_hooks = dict(
    # one log line per batch of slots, with the remaining time
    logger=dict(interval=1, log_metric_by_epoch=False),
    param_scheduler=None,
    sampler_seed=None,
    checkpoint=None)
log_processor = dict(by_epoch=False, window_size=1, custom_cfg=[])
# <work_dir>/progress.png shows the latest samples while the job runs
custom_hooks = [dict(type='ContactSheetHook')]
# slots are sharded over ranks; a frozen distiller has nothing to synchronise
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
