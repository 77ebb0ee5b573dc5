"""A student that learns from the logits of a teacher."""
from typing import Any, Dict, List, Optional, Union

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor

from mmdd.models.proxies.base import takes_rgb
from mmdd.registry import MODELS
from mmdd.utils.components import short_name
from .soft_losses import KINDS, SoftLoss
from .teacher import Teachers, teachers_of


@MODELS.register_module()
class SoftLabelClassifier(BaseModel):
    """An mmpretrain classifier that is trained on soft labels.

    The teacher labels every batch as the student sees it, after mixing, or its
    logits come with the data (``soft_logits`` of a data sample, see ``SoftLabelDataset``).
    Evaluation uses the student alone; its state dict is the plain one of the student.

    Args:
        student: Config of the classifier.
        teacher: ``cfg`` (anything ``load_config`` takes) and ``checkpoint`` of the
            teacher, and ``columns``, see :class:`Teacher`; a list of these for several; None
            for stored logits. It stays in evaluation mode and normalises images in its own way.
        temperature: See :class:`SoftLoss`.
        squared: See :class:`SoftLoss`.
        mix: mmpretrain batch augmentation, e.g. ``dict(type='CutMix', alpha=1.)``, done once
            for both networks; None for none. For stored logits it must be None, unless they
            are ``per_image``.
        pollute_norm: Whether the student sees a batch in training mode, without gradients,
            before each step, as in RDED's released code, so that batch-norm statistics move
            twice: with a momentum of 0.1 by 0.19 per step. Its CutMix works in place, so this
            is the mixed batch; with Mixup, or without mixing, it is the unmixed one.
        reads_rgb: Whether the training set gives RGB images; files are read as BGR.
        loss: ``kind`` of :class:`SoftLoss`.
        hard_weight: See :class:`SoftLoss`.
        combine: See :class:`Teachers`.
        per_image: Whether stored logits are those of the images as they are, not of what the
            student sees; they are then mixed like the images, by area.

    Raises:
        ValueError: If student and teacher disagree on the number of classes, or
            there is neither a teacher nor stored logits.
    """

    limits = dict(temperature=dict(above=0), loss=KINDS, hard_weight=dict(low=0),
                  combine=('mean', 'sample'))

    def __init__(self,
                 student: Dict[str, Any],
                 teacher: Union[Dict[str, Any], List[Dict[str, Any]], None] = None,
                 temperature: float = 20.,
                 squared: bool = False,
                 mix: Optional[Dict[str, Any]] = None,
                 pollute_norm: bool = False,
                 reads_rgb: bool = False,
                 loss: str = 'kl',
                 hard_weight: float = 0.,
                 combine: str = 'mean',
                 per_image: bool = False,
                 data_preprocessor: Optional[Any] = None,
                 init_cfg: Optional[Dict[str, Any]] = None) -> None:
        node = dict(student)
        if data_preprocessor is not None:
            node.setdefault('data_preprocessor', data_preprocessor)
        network = ROOT_MODELS.build(node)
        super().__init__(data_preprocessor=network.data_preprocessor, init_cfg=init_cfg)
        if teacher is None and mix is not None and not per_image:
            raise ValueError('SoftLabelClassifier: stored logits belong to images as they are, '
                             'set mix=None')
        self.student = network
        self.teachers = Teachers(teachers_of(teacher), combine)
        self.criterion = SoftLoss(loss, temperature, squared, hard_weight)
        self.mix = None if mix is None else _build_mix(mix)
        self.pollute_norm = pollute_norm
        self.mixes_in_place = short_name((mix or {}).get('type')).endswith('CutMix')
        self.takes_rgb = takes_rgb(self.data_preprocessor) != reads_rgb
        self._register_state_dict_hook(_drop_prefix)
        self.register_load_state_dict_pre_hook(_add_prefix)

    def forward(self, inputs: Tensor, data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Any:
        """As of the student; mode 'loss' compares with the teacher."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Distance to the soft labels, a scalar ``loss``; inputs (B, 3, H, W), normalised.

        Raises:
            ValueError: If neither a teacher nor stored logits are there, or they have other
                classes than the student.
        """
        whole = inputs
        stored = None if self.teachers else self.criterion.target(
            self._stored(inputs, data_samples))
        if self.mix is not None:
            # The mixing works in place, on images and on labels, which a teacher gives later.
            labels = inputs.new_zeros(len(inputs), 1) if stored is None else stored
            inputs, labels = self.mix(inputs.clone(), labels)
            stored = None if stored is None else labels
        if self.pollute_norm:
            with torch.no_grad():
                self.student(inputs if self.mixes_in_place else whole, mode='tensor')
        target = self.criterion.target(self._ask(inputs)) if stored is None else stored
        logits = self.student(inputs, mode='tensor')
        if logits.shape != target.shape:
            raise ValueError(f'the student has {logits.shape[-1]} classes, its soft labels '
                             f'{target.shape[-1]}; give a teacher of the same classes')
        classes = None
        if self.criterion.hard_weight and data_samples:
            classes = torch.cat([sample.gt_label for sample in data_samples]).to(inputs.device)
        return dict(loss=self.criterion(logits, target, classes))

    def _stored(self, inputs: Tensor, data_samples: Optional[list]) -> Tensor:
        stored: List[Any] = [
            getattr(sample, 'soft_logits', None) for sample in data_samples or [None]]
        if any(logits is None for logits in stored):
            raise ValueError('SoftLabelClassifier: neither a teacher nor stored logits; give '
                             'teacher=dict(cfg=..., checkpoint=...) or train on a '
                             'mmdd.SoftLabelDataset')
        return torch.stack(stored).to(inputs)

    def _ask(self, inputs: Tensor) -> Tensor:
        """Logits (B, K) of the teachers for the student's input."""
        return self.teachers.ask(inputs, self.data_preprocessor, self.takes_rgb)


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
