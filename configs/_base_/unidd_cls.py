# UniDD for classification, settings of sections 4.1 and 4.4. A leaf adds the real set,
# the proxy, the budget and the students.
_base_ = ['./diffusions/sd15.py', './distill_runtime.py']

model = dict(
    type='UniDD',
    image_size=256,
    label_sampler=dict(type='RandomLabelSampler'),
    prompter=dict(type='AnnotationPrompter'),
    refiners=[dict(type='ProxyRefiner', threshold=0.9)])
custom_hooks = [
    dict(type='ContactSheetHook'),
    dict(type='TaskGuidanceHook', scale=100., wrt='latent'),
]
train_cfg = dict(
    type='DistillLoop', writer=dict(type='ClassFolderWriter'), batch_size=8, max_rounds=4)
