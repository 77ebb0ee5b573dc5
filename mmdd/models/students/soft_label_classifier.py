"""A student that learns from the logits of a teacher."""
from typing import Any, Dict, List, Optional, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor

from mmdd.models.proxies.base import TaskProxy, normalizes, reads_rgb, takes_rgb
from mmdd.registry import MODELS
from mmdd.utils.config import resolve_path


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

    def takes(self, preprocessor: Any, rgb: bool) -> bool:
        """Whether images of another preprocessor, RGB or BGR, are just its own input."""
        own = self.model.data_preprocessor
        flags = [normalizes(p) for p in (own, preprocessor)]
        if rgb != (takes_rgb(own) != reads_rgb(self.cfg)) or flags[0] != flags[1]:
            return False
        return not flags[0] or all(
            torch.equal(getattr(own, name).cpu(), getattr(preprocessor, name).cpu())
            for name in ('mean', 'std'))


def soft_loss(student: Tensor, teacher: Tensor, temperature: float,
              squared: bool = False) -> Tensor:
    """KL divergence of softened predictions, averaged over the batch.

    Args:
        student: Logits (B, K).
        teacher: Logits (B, K).
        temperature: T; both are divided by it.
        squared: Whether to multiply by T squared, as in knowledge distillation
            (https://arxiv.org/abs/1503.02531). RDED and FKD do not.

    Returns:
        Tensor: A scalar.
    """
    loss = F.kl_div(F.log_softmax(student.float() / temperature, 1),
                    F.softmax(teacher.float() / temperature, 1), reduction='batchmean')
    return loss * temperature**2 if squared else loss


@MODELS.register_module()
class SoftLabelClassifier(BaseModel):
    """An mmpretrain classifier that is trained on soft labels.

    The teacher labels every batch as the student sees it, after mixing, or its
    logits come with the data (``soft_logits`` of a data sample, see ``SoftLabelDataset``).
    Evaluation uses the student alone; its state dict is the plain one of the student.

    Args:
        student: Config of the classifier.
        teacher: ``cfg`` (anything ``load_config`` takes) and ``checkpoint`` of the
            teacher, and ``columns``, see :class:`Teacher`; None for stored logits. It stays in
            evaluation mode and normalises images in its own way.
        temperature: T of :func:`soft_loss`.
        squared: See :func:`soft_loss`.
        mix: mmpretrain batch augmentation, e.g. ``dict(type='CutMix', alpha=1.)``, done once
            for both networks; None for none. For stored logits it must be None.
        pollute_norm: Whether the student sees a batch in training mode, without gradients,
            before each step, as in RDED's released code, so that batch-norm statistics move
            twice: with a momentum of 0.1 by 0.19 a step. Its CutMix works in place, so this
            is the mixed batch; with Mixup, or without mixing, it is the unmixed one.
        reads_rgb: Whether the training set gives RGB images; files are read as BGR.

    Raises:
        ValueError: If student and teacher disagree on the number of classes, or
            there is neither a teacher nor stored logits.
    """

    limits = dict(temperature=dict(above=0))

    def __init__(self,
                 student: Dict[str, Any],
                 teacher: Optional[Dict[str, Any]] = None,
                 temperature: float = 20.,
                 squared: bool = False,
                 mix: Optional[Dict[str, Any]] = None,
                 pollute_norm: bool = False,
                 reads_rgb: bool = False,
                 data_preprocessor: Optional[Any] = None,
                 init_cfg: Optional[Dict[str, Any]] = None) -> None:
        node = dict(student)
        if data_preprocessor is not None:
            node.setdefault('data_preprocessor', data_preprocessor)
        network = ROOT_MODELS.build(node)
        super().__init__(data_preprocessor=network.data_preprocessor, init_cfg=init_cfg)
        if teacher is None and mix is not None:
            raise ValueError('SoftLabelClassifier: stored logits belong to images as they are, '
                             'set mix=None')
        self.student = network
        self.teacher_cfg = teacher
        self.temperature = temperature
        self.squared = squared
        self.mix = None if mix is None else _build_mix(mix)
        self.pollute_norm = pollute_norm
        self.mixes_in_place = str((mix or {}).get('type')).endswith('CutMix')
        self.takes_rgb = takes_rgb(self.data_preprocessor) != reads_rgb
        # In a list, so that it is no part of this module: not saved, not optimised.
        self._teachers: List[Teacher] = []
        self._register_state_dict_hook(_drop_prefix)
        self.register_load_state_dict_pre_hook(_add_prefix)

    def forward(self, inputs: Tensor, data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Any:
        """As of the student; mode 'loss' compares with the teacher."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """KL divergence to the soft labels; inputs (B, 3, H, W), normalised."""
        whole = inputs
        if self.mix is not None:
            # The mixing works in place, on images and on one-hot labels that nobody needs.
            inputs, _ = self.mix(inputs.clone(), inputs.new_zeros(len(inputs), 1))
        if self.pollute_norm:
            with torch.no_grad():
                self.student(inputs if self.mixes_in_place else whole, mode='tensor')
        target = self._target(inputs, data_samples)
        logits = self.student(inputs, mode='tensor')
        if logits.shape != target.shape:
            raise ValueError(f'the student has {logits.shape[-1]} classes, its soft labels '
                             f'{target.shape[-1]}; give a teacher of the same classes')
        return dict(loss=soft_loss(logits, target, self.temperature, self.squared))

    def _target(self, inputs: Tensor, data_samples: Optional[list]) -> Tensor:
        if self.teacher_cfg is not None:
            return self._ask_teacher(inputs)
        stored: List[Any] = [
            getattr(sample, 'soft_logits', None) for sample in data_samples or [None]]
        if any(logits is None for logits in stored):
            raise ValueError('SoftLabelClassifier: neither a teacher nor stored logits; give '
                             'teacher=dict(cfg=..., checkpoint=...) or train on a '
                             'mmdd.SoftLabelDataset')
        return torch.stack(stored).to(inputs)

    def teacher(self, device: torch.device) -> Teacher:
        """The teacher, read when it is first needed."""
        if not self._teachers:
            cfg = self.teacher_cfg or {}
            if cfg.get('checkpoint') is None:
                raise ValueError('the teacher has no weights; set teacher.checkpoint')
            self._teachers.append(
                Teacher(cfg['cfg'], cfg['checkpoint'], cfg.get('columns')).to(device))
        return self._teachers[0]

    def _ask_teacher(self, inputs: Tensor) -> Tensor:
        """Logits (B, K) for the student's input."""
        teacher, own = self.teacher(inputs.device), self.data_preprocessor
        if teacher.takes(own, self.takes_rgb):
            return teacher.normalized_logits(inputs)
        images = inputs
        if normalizes(own):
            images = images * own.std.to(images) + own.mean.to(images)
        return teacher.logits((images if self.takes_rgb else images.flip(1)) / 255)


def _build_mix(mix: Dict[str, Any]) -> Any:
    # The student is built before, so mmpretrain is there; mmdd itself runs without.
    from mmpretrain.registry import BATCH_AUGMENTS
    return BATCH_AUGMENTS.build(dict(mix))


def _drop_prefix(module: SoftLabelClassifier, state: Dict[str, Tensor], prefix: str,
                 _: Any) -> None:
    """Name the student's weights as if it stood alone."""
    inner = f'{prefix}student.'
    for key in [key for key in state if key.startswith(prefix)]:
        value = state.pop(key)
        if key.startswith(inner):
            state[prefix + key[len(inner):]] = value


def _add_prefix(module: SoftLabelClassifier, state: Dict[str, Tensor], prefix: str,
                *_: Any) -> None:
    """The way back: weights of a plain student go to ``student.``."""
    for key in [key for key in state if key.startswith(prefix)]:
        state[f'{prefix}student.{key[len(prefix):]}'] = state.pop(key)
