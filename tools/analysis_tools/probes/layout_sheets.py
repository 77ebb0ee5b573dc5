"""What a distillation job would ask for, without its diffusion."""
from typing import List, Optional, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmdd.datasets.annotations import with_unique_ids
from mmdd.datasets.checks import open_real_set
from mmdd.engine.distill_job import read_job
from mmdd.engine.prepare import prepare
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import DistillSlot
from mmdd.utils.compat import setup
from mmdd.utils.config import ConfigType
from mmdd.utils.picture import Tile

# What a plan without prompts does not need.
NETWORKS = ('proxy', 'diffusion', 'prompter', 'refiners')
# None of the colours of classes.
GREY = 208


def plan_layouts(config: ConfigType,
                 cfg_options: Optional[dict] = None) -> Tuple[List[DistillSlot], List[str]]:
    """The plan of a job, without prompts: labels, boxes and masks of its slots.

    The real set is built where the config says how. Nothing is trained, and no network is loaded
    but the proxy where the label sampler reads the real images with it; a coreset that selects by
    features has no plan here.

    Args:
        config: Config file or dict of a job.
        cfg_options: Dotted options merged into the config.

    Returns:
        tuple: The slots, and the class names by index.

    Raises:
        ValueError: If the config or the real set is unusable, or the plan needs a network that
            is not there.
    """
    setup()
    cfg = read_job(config, cfg_options)
    steps = [step for step in cfg.get('prepare') or [] if 'Checkpoint' not in str(step['type'])]
    prepare(Config(dict(prepare=steps)))
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        sampler = cfg.model.get('label_sampler')
        reads = sampler is not None and getattr(
            TASK_UTILS.build(sampler), 'reads_images', False)
        model = {key: value for key, value in cfg.model.items()
                 if key not in NETWORKS or (reads and key == 'proxy')}
        distiller = MODELS.build(dict(model, diffusion=None))
        budget = TASK_UTILS.build(cfg.train_cfg.budget)
        dataset = open_real_set(cfg.train_dataloader.dataset)
        distiller.classes = tuple(dataset.metainfo['classes'])
        distiller.budget = budget
        for index in range(len(dataset)):
            distiller.collect(pseudo_collate([dataset[index]]))
        distiller.annotations = with_unique_ids(distiller.annotations)
        if reads:
            distiller.finish_collect()
        return distiller.plan(budget), list(distiller.classes)


def layout_tile(slot: DistillSlot, classes: List[str]) -> Tile:
    """A slot on a grey canvas: its boxes, else its mask, else its class as the caption."""
    canvas = np.full((*slot.size, 3), GREY, np.uint8)
    images = f'{len(slot.sources)} image{"s" if len(slot.sources) != 1 else ""}'
    return Tile(canvas, slot.target, caption='  '.join(
        part for part in (f'#{slot.id}', slot.target.caption(classes), f'of {images}') if part))
