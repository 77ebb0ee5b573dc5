"""RDED: mosaics of the crops that a classifier is surest of.

Its two stages, and what runs each of their steps:

1. a classifier trained on the real set, the observer       ``ClassifierProxy``
2. random crops of each photograph                          ``random_windows``
3. their cross-entropy by the observer                      ``CropScorer``
4. the most realistic crop of each photograph is kept       ``CropScorer``, ``ScoreStore``
5. the best crops of a class                                ``choose_patches``
6. laid out factor x factor, ranks shared by the images     ``RDED``, ``compose``
7. students match the observer's soft labels                protocol ``rded_soft``
"""
import inspect
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

from mmdd.registry import MODELS
from mmdd.utils.components import class_of
from mmdd.utils.config import describe_network, fingerprint
from ...proxies import ClassifierProxy
from ..patch_selection import choose_patches
from ..patch_selection.patch_distiller import PatchDistiller
from .crop_scorer import CropScorer, CropSettings


@MODELS.register_module()
class RDED(PatchDistiller):
    """`On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation
    Paradigm <https://arxiv.org/abs/2312.03526>`_, with the settings of its released code.

    Stage 1: random crops of each photograph are scored by a classifier trained on the real
    set; the one of least cross-entropy, its most realistic one, is kept. Stage 2: the best
    ``factor**2`` crops of a class for each image of the set are laid out factor x factor. The
    images of a class share the ranks: of n images, the first has the crops of rank 1, n + 1,
    2n + 1, ..., row by row. The images are real pixels, nothing is generated, and a label is
    the class of its photographs; soft labels are the business of the protocol ``rded_soft``.

    **Cost.** Scores are kept in ``score_dir`` by content, class, network and settings.
    Another budget of the same photographs scores nothing.

    Args:
        proxy: Config of a ``ClassifierProxy``, the observer of the paper.
        factor: Crops along a side of an image; None takes 2 above 64 pixels and 1 below.
        crops: Random crops of each photograph.
        images_per_class: Photographs of each class that are cropped, drawn by ``seed``; None
            takes all of them.
        crop_scale, crop_ratio: (least, largest) share of the photograph's area, and width over
            height, of a crop; those of the released code, whose crops are squares.
        score_seed: Crops follow from it and from the photograph's content and class.
        score_batch: Crops in one forward pass, at least those of one photograph.
        score_dir: Folder of the scores, which jobs may share; None keeps them with the job.
        image_size: Side of the images of the set in pixels.
        kwargs: See :class:`DatasetDistiller`.

    Raises:
        ValueError: If a setting is out of range.
    """

    # A dry run has three images of a class, fewer than four cells.
    dry_run_settings = dict(factor=1, crops=2)
    limits = dict(
        factor=dict(low=1), crops=dict(low=1), images_per_class=dict(low=1),
        crop_scale=dict(above=0, high=1), crop_ratio=dict(above=0), score_seed=dict(low=0),
        score_batch=dict(low=1))
    remedy = 'lower the budget or model.factor, or raise model.images_per_class'

    def __init__(self,
                 proxy: dict,
                 factor: Optional[int] = None,
                 crops: int = 5,
                 images_per_class: Optional[int] = 300,
                 crop_scale: Sequence[float] = (0.08, 1.),
                 crop_ratio: Sequence[float] = (1., 1.),
                 score_seed: int = 0,
                 score_batch: int = 256,
                 score_dir: Optional[str] = None,
                 image_size: Union[int, Tuple[int, int]] = 224,
                 **kwargs) -> None:
        super().__init__(proxy=proxy, image_size=image_size, **kwargs)
        settings = crop_settings(self.image_size, factor, crops, crop_scale, crop_ratio,
                                 score_seed)
        check_numbers(images_per_class, score_batch)
        self.factor = self.image_size[0] // settings.cell[0]
        self.num_images = images_per_class
        self.score_dir = score_dir
        self.scorer = CropScorer(self.proxy, settings, score_batch,
                                 fingerprint(describe_network(proxy)))

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Check settings, and that there is a classifier, before anything is trained."""
        super().check_config(cfg)
        kind = class_of(MODELS, cfg.get('proxy'))
        if kind is None or not issubclass(kind, ClassifierProxy):
            raise ValueError("RDED needs a classifier trained on the real set: give "
                             "model.proxy=dict(type='ClassifierProxy', cfg=...)")
        defaults = inspect.signature(cls.__init__).parameters
        for check in (crop_settings, check_numbers):
            check(**{name: cfg.get(name, defaults[name].default)
                     for name in inspect.signature(check).parameters})

    def scored_as(self, label: int) -> str:
        """The index of a class."""
        return str(label)

    def patches_per_image(self, ipc: int) -> int:
        """``factor**2``, whatever the budget."""
        return self.factor**2

    def choose(self, label: int, need: int) -> List[dict]:
        """The crops of one class by their scores, ties by the order of the pool."""
        assert self.store is not None
        rows = self.store.read(self.keys[label])
        return [
            dict(source=own.image_id, path=own.path, resize=None,
                 window=rows['window'][i].tolist(), score=float(rows['score'][i]))
            for i, own in ((i, self.pool[label][i])
                           for i, _ in choose_patches(rows['score'], None, need))
        ]

    def fill(self, crops: List[dict], each: int) -> List[List[dict]]:
        """Every image of a class has crops of all ranks, as in the released code."""
        num = len(crops) // each
        return [crops[i::num] for i in range(num)]


def crop_settings(image_size: Any, factor: Optional[int], crops: int,
                  crop_scale: Sequence[float], crop_ratio: Sequence[float],
                  score_seed: int) -> CropSettings:
    """The settings of :class:`RDED` that decide scores.

    Raises:
        ValueError: If one is out of range.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if factor is None:
        factor = 2 if min(height, width) > 64 else 1
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f'RDED: model.image_size {height}x{width} does not divide into '
                         f'{factor} x {factor} cells; change model.factor or model.image_size')
    return CropSettings(crops, tuple(crop_scale), tuple(crop_ratio),
                        (height // factor, width // factor), (height, width), score_seed)


def check_numbers(images_per_class: Optional[int], score_batch: int) -> None:
    """Check the other numbers of :class:`RDED`.

    Raises:
        ValueError: If one is out of range.
    """
    for name, value in dict(images_per_class=images_per_class, score_batch=score_batch).items():
        if value is not None and value < 1:
            raise ValueError(f'RDED: model.{name} must be at least 1, got {value}')
