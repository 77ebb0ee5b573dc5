"""The texts of a job folder: configs of the data, the proxy, the students and the methods."""
from string import Template
from typing import Dict

HEAD = '# Written by tools/init.py; yours to change.\n'

DATA = Template(HEAD + '''\
# The data as the proxy and the students train on it. Images are scaled to `size`.
data_root = $root
lists = '{{fileDirname}}/lists/'
metainfo = dict(
    classes=$classes)
size = $size  # (width, height)

train_pipeline = [
$train_pipeline]
test_pipeline = [
$test_pipeline]

train_dataloader = dict(
    batch_size=$batch,
    num_workers=$workers,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
$train_set
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=$batch,
    num_workers=$workers,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
$val_set
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=$batch,
    num_workers=$workers,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
$test_set
        test_mode=True,
        pipeline=test_pipeline))

$evaluators
''')

REAL_SET = Template(HEAD + '''\
# The training images as a distiller reads them: labels only.
data_root = $root
lists = '{{fileDirname}}/lists/'
metainfo = dict(
    classes=$classes)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
$train_set
        pipeline=$real_pipeline))
''')

PIPELINES: Dict[str, Dict[str, str]] = dict(
    cls=dict(
        train='''\
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
''',
        test='''\
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size),
    dict(type='PackInputs'),
''',
        real="[dict(type='PackInputs', meta_keys=('img_path', ))]"),
    det=dict(
        train='''\
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=size, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
''',
        test='''\
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=True),
    # after the resizing: predictions are compared in the image's own pixels
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
''',
        real='''[
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width')),
        ]'''),
    seg=dict(
        train='''\
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
''',
        test='''\
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    # after the resizing: predictions are compared in the image's own pixels
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
''',
        real='''[
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path')),
        ]'''))

PROXY = Template(HEAD + '''\
# The proxy: trained once on the whole real set, kept as proxy.pth in this folder.
_base_ = [
    'data.py',
    'mmdd::_base_/models/$model.py',
    'mmdd::_base_/schedules/one_cycle.py',
]
default_scope = '$scope'

$changes

max_iters = $iters
optim_wrapper = dict(optimizer=dict(lr=$lr))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=$lr,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
''')

PROTOCOL = Template(HEAD + '''\
# The student: the network of the proxy from its first weights, trained on a small set for a fixed
# number of updates.
_base_ = ['proxy.py']

max_iters = $iters
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=$lr,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters, save_optimizer=False))

protocol = dict(
    task='$task',
    # column of the report -> key of the metric, and a factor that makes it percent
    metrics=dict($metrics),
    scale=$scale,
    # what changes for training on the full real set
    full=dict(
        train_cfg=dict(max_iters=$full_iters, val_interval=$full_iters),
        default_hooks=dict(checkpoint=dict(interval=$full_iters)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=$lr,
                total_steps=$full_iters,
                pct_start=0.1,
                by_epoch=False)
        ]))
''')

UNIDD = Template(HEAD + '''\
# UniDD. `model.diffusion.pretrained` takes a local folder in diffusers' layout or a hub id.
_base_ = ['real_set.py', 'mmdd::_base_/unidd_$task.py']

model = dict(
    image_size=$size,
    diffusion=dict(steps=$steps),
    proxy=dict(
        type='$proxy',
        cfg='{{fileDirname}}/proxy.py',
        checkpoint='{{fileDirname}}/proxy.pth'))
train_cfg = dict(budget=$budget, writer=dict(type='$writer'))
evaluation = dict(protocol='{{fileDirname}}/protocol.py')
''')

RANDOM = Template(HEAD + '''\
# The baseline that stands beside every method: real images at random.
_base_ = ['real_set.py', 'mmdd::_base_/coreset_$task.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=$budget, writer=dict(type='$writer'))
evaluation = dict(protocol='{{fileDirname}}/protocol.py')
''')

UNIFORM = HEAD + '''\
_base_ = 'random_coreset.py'
model = dict(type='UniformCoreset')
'''

BY_FEATURES = Template(HEAD + '''\
_base_ = 'random_coreset.py'
model = dict(
    type='$kind',
    feature_size=$size,
    proxy=dict(
        type='$proxy',
        cfg='{{fileDirname}}/proxy.py',
        checkpoint='{{fileDirname}}/proxy.pth'))
''')

README = Template('''\
# $name

Written by `tools/init.py`. The files of this folder are yours to change; nothing was written into
the data.

```text
$survey
```

## From here to the table

```bash
# every step on a few images with tiny random networks: under a minute, no download
$distill $out/unidd.py --dry-run

# the baselines: real images, no diffusion model needed. The proxy is trained first.
$benchmark Random=$out/random_coreset.py Uniform=$out/uniform_coreset.py \\
    K-Center=$out/kcenter_coreset.py Herding=$out/herding_coreset.py \\
    --work-dir $out/coresets --seeds 0 1 2

# UniDD$gpu; its set lies in $out/unidd/distilled
$distill $out/unidd.py --work-dir $out/unidd \\
    --cfg-options model.diffusion.pretrained=/path/to/stable-diffusion-v1-5
$browse $out/unidd/distilled --out $out/sheet.png

# students of it in one table, with as many random real images and the full set beside
$evaluate $out/unidd.py --sets UniDD=$out/unidd/distilled \\
    --work-dir $out/students --seeds 0 1 2 --full
```

| file | what to change there |
| --- | --- |
| `data.py` | augmentation, size of the images, batch size |
| `real_set.py` | what the distiller reads |
| `proxy.py` | the network ($model) and its $iters updates |
| `protocol.py` | the students' $student_iters updates and metrics |
| `unidd.py`, `*_coreset.py` | the budget: `$budget` |
| `lists/` | which images belong to which split |
''')
