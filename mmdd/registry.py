"""Child registries of MMEngine's roots: the table of contents of mmdd."""
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

# distillers, coresets, diffusions, fine-tuners and proxies: what a Runner builds as its model
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='mmdd', locations=['mmdd.models'])
# guidance during denoising, pictures, cost reports
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='mmdd', locations=['mmdd.engine'])
# the distillation loop
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope='mmdd', locations=['mmdd.engine'])
# datasets of our own
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope='mmdd', locations=['mmdd.datasets'])
# formats of sets: how they are written, checked and read; mmengine has no such registry
FORMATS = Registry('format', scope='mmdd', locations=['mmdd.datasets.formats'])
# the order in which the real set is read
DATA_SAMPLERS = Registry(
    'data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='mmdd', locations=['mmdd.datasets'])
# steps of a data pipeline that mm* does not have
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, scope='mmdd', locations=['mmdd.datasets.transforms'])
# measures that mm* does not have, or not so cheaply
METRICS = Registry(
    'metric', parent=MMENGINE_METRICS, scope='mmdd', locations=['mmdd.evaluation'])
# budgets, label samplers, prompters, class statistics, random views, refiners, set stages,
# writers, dataset builders, schedule rules
TASK_UTILS = Registry(
    'task util', parent=MMENGINE_TASK_UTILS, scope='mmdd',
    locations=['mmdd.structures', 'mmdd.datasets', 'mmdd.models', 'mmdd.engine',
               'mmdd.protocols'])
# who draws, and where pictures and scalars go; here so that mmengine's own are found
VISUALIZERS = Registry('visualizer', parent=MMENGINE_VISUALIZERS, scope='mmdd',
                       locations=['mmengine.visualization'])
VISBACKENDS = Registry('vis_backend', parent=MMENGINE_VISBACKENDS, scope='mmdd',
                       locations=['mmengine.visualization'])
