"""What methods share whose images are patches of real ones."""
import os.path as osp
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from mmdd.structures import BaseBudget, DistilledSample, DistillSlot, RealAnnotation, slot_seed
from mmdd.utils.seed import derive_seed
from ..classification import ClassificationDistiller
from .compositor import compose, crop_photograph
from .score_pass import ScorePass
from .score_store import ScoreStore


class PatchDistiller(ClassificationDistiller):
    """Selects patches of real images instead of generating.

    Every photograph of a class gives one patch with a score. Scores are computed once,
    before anything is planned, and kept; then the patches of each class are chosen and laid
    out, one or n x n in an image. A subclass sets ``scorer``, ``num_images`` and
    ``score_dir``, and says how many patches an image takes, which ones of a class are
    chosen, and in which order they fill images.

    Attributes:
        scorer: What scores photographs, see :class:`ScorePass`.
        num_images: Photographs scored in each class, drawn by ``seed``; None scores all.
        score_dir: Folder of the scores, which jobs may share; None keeps them with the job.
        remedy: What to do where a class has too few photographs.
    """

    draws = False
    remedy = 'lower the budget'

    runtime_settings = ('score_batch', 'score_dir')

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.scorer: Any = None
        self.num_images: Optional[int] = None
        self.score_dir: Optional[str] = None
        self.folder: Optional[str] = None
        self.store: Optional[ScoreStore] = None
        self.pool: Dict[int, List[RealAnnotation]] = {}
        self.keys: Dict[int, List[str]] = {}

    def scored_as(self, label: int) -> str:
        """Text that tells the scorer the class of photographs; part of their keys."""
        raise NotImplementedError

    def class_prompt(self, label: int) -> str:
        """Prompt of the slots of a class; '' where nothing is prompted."""
        return ''

    def patches_per_image(self, ipc: int) -> int:
        """Patches in an image of a set of ``ipc`` images per class, a square number."""
        raise NotImplementedError

    def choose(self, label: int, need: int) -> List[dict]:
        """The ``need`` patches of one class as the manifest has them, the best first.

        Each has ``source``, ``path``, ``resize`` and ``window``, see ``crop_photograph``.
        """
        raise NotImplementedError

    def fill(self, crops: List[dict], each: int) -> List[List[dict]]:
        """The patches of every image of one class, ``each`` of them: neighbours by default."""
        return [crops[i:i + each] for i in range(0, len(crops), each)]

    def about_image(self, each: int) -> Dict[str, Any]:
        """What the manifest says of an image of ``each`` patches, beside the patches."""
        return {}

    def check_class(self, name: str, total: int) -> None:
        """Check that ``total`` photographs of the class ``name`` are enough to choose from.

        Raises:
            ValueError: If not.
        """

    def finish_collect(self, folder: Optional[str] = None) -> None:
        """Score what the store does not have yet; the ranks share the work.

        Args:
            folder: Folder of the job's journal; needed where ``score_dir`` is None.

        Raises:
            ValueError: If a photograph cannot be read, or the budget does not fit.
        """
        if folder is None and self.score_dir is None:
            raise ValueError(f'{type(self).__name__}: give model.score_dir or a folder for the '
                             f'scores')
        self.folder = folder
        self.pool = self.choose_pool()
        if self.budget is not None:
            self._groups(self.budget)  # an error before hours of scoring
        root = self.score_dir or osp.join(folder or '', 'scores')
        with self.timed('score', deploy=True):
            self.store = ScoreStore(osp.join(root, self.scorer.identity()),
                                    self.scorer.settings.to_dict(), self.scorer.fields)
            photographs = [(label, own) for label, members in self.pool.items()
                           for own in members]
            keys = ScorePass(
                self.scorer, self.store, [own.path for _, own in photographs],
                [self.scored_as(label) for label, _ in photographs]).run()
        self.keys = {label: [] for label in self.pool}
        for (label, _), key in zip(photographs, keys):
            self.keys[label].append(key)

    def choose_pool(self) -> Dict[int, List[RealAnnotation]]:
        """The photographs that are scored, by class.

        A photograph is in or out by its name and ``seed`` alone: the classes beside its
        own do not matter, and a larger ``num_images`` keeps those of a smaller one.
        """
        pool: Dict[int, List[RealAnnotation]] = {label: [] for label in range(len(self.classes))}
        for own in self.annotations:
            pool[int(own.labels[0])].append(own)
        return {label: sorted(members, key=lambda own: (derive_seed(
            'pool', self.seed, own.image_id), own.path))[:self.num_images]
            for label, members in pool.items()}

    def plan(self, budget: BaseBudget) -> List[DistillSlot]:
        """Choose the patches of each class, then lay them out.

        Raises:
            ValueError: If the budget is not one of images per class, or there are too
                few patches for it.
        """
        if self.store is None:
            self.finish_collect()
        slots: List[DistillSlot] = []
        for number, (label, each, need) in enumerate(self._groups(budget)):
            for crops in self.fill(self.choose(label, need), each):
                slots.append(self._mosaic_slot(len(slots), number, label, crops))
        return slots

    def _groups(self, budget: BaseBudget) -> List[Tuple[int, int, int]]:
        """(class, patches of an image, patches that are needed) of each group of a budget.

        Raises:
            ValueError: As :meth:`plan`.
        """
        num = budget.resolve(len(self.annotations), len(self.classes))
        groups = []
        for members, quota in budget.groups(
                [own.labels for own in self.annotations], len(self.classes), num):
            labels = {int(self.annotations[i].labels[0]) for i in members}
            if len(labels) != 1:
                raise ValueError(f'{budget}: {type(self).__name__} selects class by class; give '
                                 f"train_cfg.budget=dict(type='IPC', n=...)")
            label, each = labels.pop(), self.patches_per_image(quota)
            groups.append((label, each, each * self.set_stages.slots(quota)))
            self._check_pool(budget, *groups[-1])
        return groups

    def _check_pool(self, budget: BaseBudget, label: int, each: int, need: int) -> None:
        total, name = len(self.pool[label]), f'class {label} ({self.classes[label]})'
        if need > total:
            raise ValueError(
                f'{budget}: {name} needs {need} patches, {each} per image, of {total} '
                f'photographs; {self.remedy}')
        self.check_class(name, total)

    def _mosaic_slot(self, index: int, group: int, label: int,
                     crops: List[dict]) -> DistillSlot:
        return DistillSlot(
            id=index, seed=slot_seed(self.seed, index), size=self.image_size,
            labels=np.array([label], np.int64), prompt=self.class_prompt(label),
            source=crops[0]['source'], source_path=crops[0]['path'], group=group,
            prototype=dict(**self.about_image(len(crops)), crops=crops))

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """Cut the patches of each slot out of their photographs; nothing is generated."""
        samples = []
        for slot in slots:
            begin = time.perf_counter()
            assert slot.prototype is not None
            image = compose([crop_photograph(crop['path'], crop['resize'], crop['window'])
                             for crop in slot.prototype['crops']], slot.size)
            samples.append(DistilledSample(
                slot, image=image, labels=slot.labels, label_source='real',
                seconds=time.perf_counter() - begin))
        return samples
