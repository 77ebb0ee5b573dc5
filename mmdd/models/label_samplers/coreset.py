"""Layouts of the real images that a coreset chooses."""
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import Canvas, Layout, RealAnnotation
from mmdd.utils.components import class_of, component_of
from .samplers import BaseLabelSampler


@TASK_UTILS.register_module()
class CoresetLabelSampler(BaseLabelSampler):
    """Labels of the real images that a coreset chooses, in the order of its choice.

    With the same proxy, seed and budget these are the images of the coreset as a method of its
    own, unless some hold objects below ``model.min_box``. The coreset reads features or
    predictions with the distiller's ``model.proxy``, in one pass over the real set that ranks
    share and a resumed job does not repeat.

    Args:
        coreset: Config of a coreset, such as ``dict(type='HerdingCoreset', feature_size=64)``,
            without what is up to the distiller: ``proxy``, ``seed`` and the like.

    Raises:
        ValueError: If it is none.
    """

    def __init__(self, coreset: dict) -> None:
        self.config = coreset
        self.kind = component_of('model.label_sampler.coreset', MODELS, coreset)
        if not hasattr(self.kind, 'check_as_part'):
            raise ValueError(f'model.label_sampler.coreset: {self.kind.__name__} is no coreset; '
                             f"give one, e.g. dict(type='HerdingCoreset')")
        self.coreset: Any = None
        self.rows: Optional[Dict[Tuple[str, str], int]] = None

    @property
    def reads_images(self) -> bool:  # type: ignore[override]
        """Whether the coreset chooses by features or predictions."""
        return self.kind.uses_features

    @property
    def snapshot_files(self) -> Sequence[str]:
        """The checkpoints that the coreset reads beside the proxy's."""
        return getattr(self.coreset, 'snapshot_files', ())

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check, before a job begins, that its model has what the coreset needs.

        Args:
            model: Config of the distiller.

        Raises:
            ValueError: If not, or if the coreset has settings that are up to the distiller.
        """
        self.kind.check_as_part(self.config, class_of(MODELS, model.get('proxy')))

    def bind(self, distiller: Any) -> None:
        """Build the coreset around the proxy of the distiller."""
        proxy = distiller.proxy
        self.kind.check_as_part(self.config, None if proxy is None else type(proxy))
        # A function as type hands over the network: nothing is built or loaded again.
        lent = None if proxy is None else dict(type=lambda: proxy)
        self.coreset = MODELS.build(dict(self.config, proxy=lent, seed=distiller.seed))

    def finish_collect(self, distiller: Any, folder: Optional[str] = None) -> None:
        """Let the coreset read what it chooses by."""
        coreset = self.coreset
        coreset.classes, coreset.budget = distiller.classes, distiller.budget
        coreset.annotations, coreset.read_batch = distiller.annotations, distiller.read_batch
        coreset.finish_collect(folder)
        self.rows = {(a.image_id, a.path): i for i, a in enumerate(distiller.annotations)}

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[Layout]:
        """Return the annotations of the ``num`` images that the coreset chooses.

        Raises:
            ValueError: If it has not read the real set, or chooses another number of images.
        """
        if self.rows is None:
            raise ValueError('CoresetLabelSampler chooses by what finish_collect reads of the '
                             'real set: a distiller with one of its own calls '
                             'super().finish_collect(folder)')
        members = np.array([self.rows[a.image_id, a.path] for a in annotations], np.int64)
        picked = self.coreset.pick(members, [a.labels for a in annotations], num, seed)
        return [annotations[i] for i in picked]
