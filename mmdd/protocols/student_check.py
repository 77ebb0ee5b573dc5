"""A look at the network of a student, before any student is trained."""
import copy
import os.path as osp
from contextlib import suppress
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch import nn

from mmdd.utils import compat
from mmdd.utils.cli import one_line
from mmdd.utils.components import component_of
from mmdd.utils.config import import_custom_modules
from .protocol import pretrained_weights

REFUSAL = 'no student can be trained'


def check_student(cfg: Config, num_classes: int) -> None:
    """Build the network of a student once, on the CPU, and let it look at a test image.

    Its starting weights are not loaded, nor is a teacher.

    Args:
        cfg: See :func:`student_config`.
        num_classes: Classes of the protocol; 0 if nothing tells.

    Raises:
        ValueError: If the network cannot be built or starts from weights that are missing, has
            a head for another number of classes, or does not take what the test pipeline gives.
    """
    compat.setup()
    import_custom_modules(cfg)
    node = copy.deepcopy(cfg.model.get('student') or cfg.model)
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if preprocessor is not None:
        node.setdefault('data_preprocessor', preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        for path in pretrained_weights(node):
            if '://' not in path and not osp.isfile(osp.expanduser(path)):
                raise ValueError(f'{REFUSAL}: it starts from {path}, which is not there')
        component_of('model', MODELS, node)
        model = _attempt('its network cannot be built', MODELS.build, node)
        check_heads(model, num_classes)
        batch = _attempt('the test set cannot be read', _test_batch, cfg)
        _attempt('its network does not take what the test pipeline gives', _look, model, batch)


def check_heads(model: nn.Module, num_classes: int) -> None:
    """Check that the heads of a network are for so many classes; ValueError if one is not."""
    for name, module in model.named_modules():
        given = getattr(module, 'num_classes', None)
        # A proposal tells objects from background, a head for all classes takes any number.
        counts = name.endswith('head') and not name.endswith('rpn_head') and not getattr(
            module, 'class_agnostic', False)
        if counts and isinstance(given, int) and num_classes and given != num_classes:
            raise ValueError(f'{REFUSAL}: model.{name} is for {given} classes, the training set '
                             f'of the protocol has {num_classes}: set num_classes={num_classes}')


def _test_batch(cfg: Config) -> Any:
    """One image of the test set as a batch."""
    loader = copy.deepcopy(cfg.test_dataloader)
    for key in ('batch_sampler', 'persistent_workers', 'prefetch_factor', 'pin_memory'):
        loader.pop(key, None)
    loader.update(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    return next(iter(Runner.build_dataloader(loader, seed=0)))


@torch.no_grad()
def _look(model: Any, batch: Any) -> None:
    # An operator without a CPU kernel says nothing of the network.
    with suppress(NotImplementedError):
        model.eval().test_step(batch)


def _attempt(what: str, step: Any, *args: Any) -> Any:
    """Do a step; whatever the libraries raise becomes one line."""
    try:
        return step(*args)
    except Exception as error:
        reason = one_line(error).split('. Please check whether')[0]
        raise ValueError(f'{REFUSAL}: {what} ({reason[:200]})') from error
