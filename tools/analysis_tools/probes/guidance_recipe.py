"""What a config samples by, outside of a Runner: for measurements."""
import os.path as osp
from typing import List, Optional, Sequence

import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor

from mmdd.engine.distill_job import read_job, ready_weights
from mmdd.engine.job import changes_images
from mmdd.engine.prepare import prepare
from mmdd.models import DetectorProxy
from mmdd.registry import HOOKS, MODELS, TASK_UTILS
from mmdd.structures import DistillSlot
from mmdd.utils.config import ConfigType
from .guidance_cost import HookCaller


class GuidanceRecipe:
    """The distiller of a config with its guidance, its slots and its judge, without a Runner.

    Args:
        config: Distillation config.
        options: Settings that replace those of the config.
        work_dir: Where weights without a place of their own are kept.

    Attributes:
        scorer: ``model.judge``, or the proxy where the config has no judge.

    Raises:
        ValueError: If the config guides by no proxy.
    """

    def __init__(self, config: ConfigType, options: Optional[dict], work_dir: str) -> None:
        cfg = read_job(config, options)
        self.settings = [hook for hook in cfg.get('custom_hooks') or [] if changes_images(hook)]
        if None in (cfg.model.get('proxy'), cfg.model.get('diffusion')) or not self.settings:
            raise ValueError(f'{config} has no model.proxy, no model.diffusion or no guidance '
                             f'among its custom_hooks: there is nothing to measure')
        prepare(cfg)
        judge = cfg.model.get('judge')
        cfg.model.proxy.checkpoint = ready_weights(cfg.model.proxy, work_dir)
        if judge is not None:
            judge.checkpoint = ready_weights(judge, osp.join(work_dir, 'judge'))
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
            self.distiller = MODELS.build(cfg.model).to(device)
            self.hooks = [HOOKS.build(hook) for hook in self.settings]
            self.budget = TASK_UTILS.build(cfg.train_cfg.budget)
            self.scorer = self.distiller.judge or self.distiller.proxy
        loader = Runner.build_dataloader(cfg.train_dataloader)
        self.distiller.classes = tuple(loader.dataset.metainfo['classes'])
        self.distiller.budget = self.budget
        for data_batch in loader:
            self.distiller.collect(data_batch)
        self.distiller.finish_collect()

    @property
    def classes(self) -> int:
        """Number of classes of the real set."""
        return len(self.distiller.classes)

    def slots(self, num: int) -> List[DistillSlot]:
        """The first slots of the plan; more than it has are the same with fresh seeds."""
        plan = self.distiller.plan(self.budget)
        return [plan[i % len(plan)].retry(self.distiller.seed, i // len(plan))
                for i in range(num)]

    def draw(self, slots: List[DistillSlot], hooks: Sequence = ()) -> Tensor:
        """Unguided images (B, 3, H, W) in [0, 1] of a batch, before refinement."""
        init, strength = self.distiller.initial_latents(slots)
        caller = HookCaller(hooks, model=self.distiller)
        return self.distiller.diffusion.sample(
            slots, init=init, strength=strength, call_hook=caller.call_hook)[0]

    def draw_guided(self, slots: List[DistillSlot]) -> Tensor:
        """Images of a batch as the config guides them, before refinement."""
        return self.draw(slots, self.hooks)

    def describe(self) -> str:
        """The hooks with their settings, and the decoder of the energy."""
        texts = []
        for hook in self.settings:
            values = ', '.join(f'{key}={value}' for key, value in hook.items() if key != 'type')
            texts.append(f'{hook["type"]}({values})')
        small = getattr(self.distiller.diffusion, 'small_decoder', None) is not None
        return f'{" + ".join(texts)}, {"small" if small else "full"} decoder'

    @property
    def figure(self) -> str:
        """What the quality of raw images is, and who says so."""
        figure = 'AP50' if isinstance(self.scorer, DetectorProxy) else 'score'
        return f'{figure} by the {"proxy" if self.scorer is self.distiller.proxy else "judge"}'
