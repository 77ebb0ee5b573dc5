"""Frozen classifiers that give soft labels."""
from typing import Any, Dict, List, Mapping, Optional, Sequence

import torch
from torch import Tensor

from mmdd.models.proxies.base import TaskProxy, normalizes, reads_rgb, takes_rgb
from mmdd.utils.config import resolve_path

CLASSES_FIX = ('give a teacher of the same classes, or say which are the same in '
               'protocol.schedule.teacher.mapping')


class Teacher(TaskProxy):
    """A frozen mmpretrain classifier that gives logits.

    Args:
        cfg: See :class:`TaskProxy`.
        checkpoint: See :class:`TaskProxy`.
        columns: Which of its logits count, in this order; None for all.
    """

    scope = 'mmpretrain'

    def __init__(self, cfg: Any, checkpoint: Optional[str] = None,
                 columns: Optional[Sequence[int]] = None) -> None:
        super().__init__(cfg, checkpoint)
        self.columns = None if columns is None else list(columns)

    def load(self, checkpoint: str) -> None:
        """Load trained weights.

        Raises:
            ValueError: If the file is missing, unreadable or of another model.
        """
        try:
            resolve_path(checkpoint)
        except FileNotFoundError:
            raise ValueError(f'no teacher weights at {checkpoint!r}; tools/evaluate.py and '
                             f'tools/relabel.py train them first') from None
        super().load(checkpoint)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits (B, K) of RGB images (B, 3, H, W) in [0, 1], at their own size."""
        return self.normalized_logits(self.normalize(images))

    @torch.no_grad()
    def normalized_logits(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W) that are normalised already."""
        logits = self.model(images, mode='tensor').float()
        return logits if self.columns is None else logits[:, self.columns]

    def logits_for(self, inputs: Tensor, preprocessor: Any, rgb: bool) -> Tensor:
        """Logits (B, K) for what another network sees.

        Args:
            inputs: Its input (B, 3, H, W).
            preprocessor: Its data preprocessor, which normalised them.
            rgb: Whether they are RGB; else BGR.
        """
        if self.takes(preprocessor, rgb):
            return self.normalized_logits(inputs)
        images = inputs
        if normalizes(preprocessor):
            images = images * preprocessor.std.to(images) + preprocessor.mean.to(images)
        return self.logits((images if rgb else images.flip(1)) / 255)

    def takes(self, preprocessor: Any, rgb: bool) -> bool:
        """Whether images of another preprocessor, RGB or BGR, are just its own input."""
        own = self.model.data_preprocessor
        flags = [normalizes(p) for p in (own, preprocessor)]
        if rgb != (takes_rgb(own) != reads_rgb(self.cfg)) or flags[0] != flags[1]:
            return False
        return not flags[0] or all(
            torch.equal(getattr(own, name).cpu(), getattr(preprocessor, name).cpu())
            for name in ('mean', 'std'))


class Teachers:
    """The teachers of one student, read when they are first asked.

    They label its batches and are no part of it. So this is no module: a student that holds it
    neither saves nor trains them.

    Args:
        cfgs: See :func:`build_teachers`.
        combine: 'mean' averages their logits, 'sample' asks one of them, drawn for each batch.
    """

    def __init__(self, cfgs: Sequence[Mapping[str, Any]], combine: str = 'mean') -> None:
        self.cfgs = cfgs
        self.combine = combine
        self.networks: List[Teacher] = []

    def __len__(self) -> int:
        return len(self.cfgs)

    def load(self, device: torch.device) -> List[Teacher]:
        """All of them, read on the first call; errors as of :func:`build_teachers`."""
        if not self.networks:
            self.networks = build_teachers(self.cfgs, device)
        return self.networks

    def ask(self, inputs: Tensor, preprocessor: Any, rgb: bool) -> Tensor:
        """Logits (B, K) of the teachers together; arguments as of :meth:`Teacher.logits_for`."""
        asked = self.load(inputs.device)
        if self.combine == 'sample' and len(asked) > 1:
            asked = [asked[int(torch.randint(len(asked), (1, )))]]
        return mean_logits([teacher.logits_for(inputs, preprocessor, rgb) for teacher in asked])


def teachers_of(teacher: Any) -> List[Dict[str, Any]]:
    """The configs of all teachers: of a list, of a single one, or none."""
    if isinstance(teacher, Mapping):
        return [dict(teacher)]
    return list(teacher or [])


def of_each(found: List[Any]) -> Any:
    """What is found of each teacher; of a single one without a list."""
    return found[0] if len(found) == 1 else found


def build_teachers(cfgs: Sequence[Mapping[str, Any]], device: torch.device) -> List[Teacher]:
    """Teachers with their weights.

    Args:
        cfgs: ``cfg``, ``checkpoint`` and ``columns`` of each.
        device: Where they go.

    Raises:
        ValueError: If one has no weights.
    """
    if any(cfg.get('checkpoint') is None for cfg in cfgs):
        raise ValueError('the teacher has no weights; set teacher.checkpoint')
    return [Teacher(cfg['cfg'], cfg['checkpoint'], cfg.get('columns')).to(device)
            for cfg in cfgs]


def mean_logits(logits: Sequence[Tensor]) -> Tensor:
    """The mean of the logits (B, K) of several teachers; those of a single one as they are."""
    return logits[0] if len(logits) == 1 else torch.stack(list(logits)).mean(0)
