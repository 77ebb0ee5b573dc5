"""The interface of set stages, and their chain."""
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any, List, Optional, Sequence

from mmdd.structures import DistilledSample, DistillSlot, SampleSequence
from mmdd.utils.indices import check_indices
from mmdd.utils.photograph import read_array


class SetStage:
    """Turns the finished samples of a group into images of the set.

    Budgets count the images of the set; a stage says how many samples each of
    them takes. A post-selector makes a pool and overrides :meth:`choose`; what
    makes several images of a sample overrides :meth:`expand`. A group is what
    the budget fills by itself: a class for images per class, else the whole set.

    Attributes:
        slots_per_image: Samples that one image of the set takes: 4 for a pool
            of four times the budget, ``Fraction(1, 5)`` for four copies beside
            each sample.
    """
    slots_per_image: Any = 1

    def check(self, slots: Sequence[DistillSlot]) -> None:
        """Check a plan before any of its images is made; nothing is asked here.

        Raises:
            ValueError: If the images of these slots could not be worked on.
        """

    def choose(self, samples: SampleSequence, num: int, distiller: Any) -> Sequence[int]:
        """Choose the samples of a group that go on.

        Args:
            samples: Finished samples of one group in the order of the plan, without
                their images; ``samples.image(i)`` reads one.
            num: How many images the group is to have after this stage.
            distiller: The distiller, for its proxy or diffusion.

        Returns:
            Distinct indices into ``samples``; all of them here.
        """
        return range(len(samples))

    def expand(self, sample: DistilledSample) -> List[DistilledSample]:
        """Make the images of the set from one sample; the sample itself here.

        Args:
            sample: The sample with its image in memory.
        """
        return [sample]

    def slots(self, num: int) -> int:
        """How many samples a group needs for ``num`` images.

        Raises:
            ValueError: If that is no whole number.
        """
        needed = num * Fraction(self.slots_per_image)
        if needed.denominator != 1 or needed < 1:
            raise ValueError(
                f'{type(self).__name__}: {num} images take {float(needed):g} samples; make the '
                f'budget a multiple of {1 / Fraction(self.slots_per_image)}')
        return int(needed)

    def images(self, slots: int) -> int:
        """How many images ``slots`` samples end up in; the inverse of :meth:`slots`."""
        return int(slots / Fraction(self.slots_per_image))


class SetStages:
    """A chain of set stages: every choice first, then every expansion.

    Args:
        stages: The stages in order.

    Raises:
        ValueError: If a stage chooses after another one has expanded.
    """

    def __init__(self, stages: Sequence[SetStage]) -> None:
        self.choosers = [stage for stage in stages if not _overrides(stage, 'expand')]
        self.expanders = [stage for stage in stages if _overrides(stage, 'expand')]
        self.stages = self.choosers + self.expanders
        if self.stages != list(stages) or any(_overrides(s, 'choose') for s in self.expanders):
            names = ', '.join(type(stage).__name__ for stage in stages)
            raise ValueError(f'model.set_stages: {names}: stages that choose come before those '
                             f'that expand, and none does both')

    def slots(self, num: int) -> int:
        """How many samples a group needs for ``num`` images."""
        for stage in reversed(self.stages):
            num = stage.slots(num)
        return num

    def check(self, slots: Sequence[DistillSlot]) -> None:
        """Let every stage check a plan, see :meth:`SetStage.check`."""
        for stage in self.stages:
            stage.check(slots)

    def images(self, slots: int) -> int:
        """How many images ``slots`` samples of a group end up in."""
        for stage in self.stages:
            slots = stage.images(slots)
        return slots

    def choose(self, samples: SampleSequence, distiller: Any,
               planned: Optional[int] = None) -> List[int]:
        """Indices of the samples of one group that go on, in the order of the plan.

        Args:
            samples: The samples that were made.
            distiller: The distiller.
            planned: How many were to be made, by which the budget counts; all of ``samples``
                if None.

        Raises:
            ValueError: If a stage returns wrong indices, or another number of them than
                the budget asks for.
        """
        kept = list(range(len(samples)))
        planned = len(kept) if planned is None else planned
        for stage in self.choosers:
            planned = stage.images(planned)
            num = min(planned, len(kept))
            picked = check_indices(
                f'{type(stage).__name__}.choose',
                stage.choose(samples.subset(kept), num, distiller), num, len(kept))
            kept = sorted(kept[i] for i in picked)
        return kept

    @property
    def copies(self) -> int:
        """Images that the expansions make of one sample."""
        return math.prod(int(1 / Fraction(stage.slots_per_image)) for stage in self.expanders)

    def expand(self, sample: DistilledSample) -> List[DistilledSample]:
        """The images of the set made of one sample, each with an id of its own.

        Raises:
            ValueError: See :func:`expand_checked`.
        """
        if not self.expanders:
            return [sample]
        samples = [load_image(sample)]
        for stage in self.expanders:
            samples = [image for each in samples for image in expand_checked(stage, each)]
        return [replace(each, slot=replace(each.slot, id=sample.slot.id * self.copies + k))
                for k, each in enumerate(samples)]


def expand_checked(stage: SetStage, sample: DistilledSample) -> List[DistilledSample]:
    """What a stage makes of one sample.

    Raises:
        ValueError: If it is no list of samples, as many as its ``slots_per_image`` says.
    """
    made, number = stage.expand(sample), int(1 / Fraction(stage.slots_per_image))
    if isinstance(made, (list, tuple)):
        if len(made) == number and all(isinstance(each, DistilledSample) for each in made):
            return list(made)
        kinds = ', '.join(sorted({type(each).__name__ for each in made}))
        got = f'a list of {len(made)}' + (f' ({kinds})' if made else '')
    else:
        got = f'an object of type {type(made).__name__}'
    raise ValueError(f'{type(stage).__name__}.expand must return a list of {number} '
                     f'DistilledSample, as many as its slots_per_image says, got {got}')


def load_image(sample: DistilledSample) -> DistilledSample:
    """A sample of a real file with its image in memory."""
    if not sample.path:
        return sample
    return replace(sample, image=read_array(sample.path), path='')


def _overrides(stage: SetStage, name: str) -> bool:
    return getattr(type(stage), name) is not getattr(SetStage, name)
