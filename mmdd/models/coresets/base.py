"""The interface of coreset baselines."""
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.structures import BaseBudget, DistilledSample, DistillSlot, RealAnnotation, slot_seed
from mmdd.utils.components import class_of
from mmdd.utils.indices import check_indices
from mmdd.utils.seed import derive_seed
from mmdd.utils.signature import settings_of
from ..distillers import DatasetDistiller
from ..proxies.feature_pass import AnnotationPass


class CoresetBaseline(DatasetDistiller):
    """Picks real images instead of making synthetic ones.

    An author writes :meth:`select` and nothing else; loop, writer and
    evaluation are those of every distiller.

    Args:
        proxy: Config of a task proxy, or of a ``BackboneFeatures``, whose
            features :meth:`select` gets.
        feature_size: (height, width) to which images are stretched for
            features; one number for squares.
        seed: Seed of the selection, as ``self.seed``.

    Attributes:
        draw_seed: Seed of the random draws in :meth:`select`: another one for
            every class of an IPC budget.
    """

    # Whether ``select`` reads features; they need a proxy.
    uses_features = False
    # Proxies whose predictions ``describe`` understands; None takes any network of features.
    proxy_kinds: Optional[Tuple[type, ...]] = None
    draws = False
    takes_over = True
    limits: Dict[str, Any] = dict(feature_size=dict(low=8))

    def __init__(self,
                 proxy: Optional[dict] = None,
                 feature_size: Union[int, Tuple[int, int]] = 224,
                 seed: int = 0,
                 **kwargs) -> None:
        if self.uses_features and proxy is None:
            raise ValueError(
                f'{type(self).__name__} selects by features: give model.proxy')
        proxy = proxy if self.uses_features else None
        super().__init__(proxy=proxy, image_size=feature_size, seed=seed, **kwargs)
        if self.uses_features:
            self.check_proxy(type(self.proxy))
        self.draw_seed = seed
        self._features: Optional[torch.Tensor] = None

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Check, before it is trained, that the selection can read the proxy.

        Raises:
            ValueError: If not.
        """
        super().check_config(cfg)
        proxy = cfg.get('proxy')
        if cls.uses_features and proxy is not None:
            cls.check_proxy(class_of(MODELS, proxy))

    @classmethod
    def check_proxy(cls, kind: Any) -> None:
        """Check that the selection makes sense of what a kind of proxy predicts.

        Raises:
            ValueError: If it is of another task, or gives features only.
        """
        if cls.proxy_kinds and not (isinstance(kind, type) and issubclass(kind, cls.proxy_kinds)):
            wanted = ' or '.join(own.__name__ for own in cls.proxy_kinds)
            raise ValueError(
                f'{cls.__name__} reads the predictions of a {wanted}, model.proxy is a '
                f'{getattr(kind, "__name__", kind)}: give it such a proxy, or take another '
                f'coreset for this task')

    @classmethod
    def check_as_part(cls, cfg: Mapping[str, Any], proxy: Any) -> None:
        """Check a coreset that chooses for another distiller, see ``CoresetLabelSampler``.

        Args:
            cfg: Its config.
            proxy: Class of the distiller's proxy; None if it has none.

        Raises:
            ValueError: If it has settings that are up to the distiller, or cannot read the proxy.
        """
        where = 'model.label_sampler.coreset'
        for name in settings_of(DatasetDistiller) or ():
            if name in cfg:
                raise ValueError(f'{where}.{name}: model.{name}, that of the distiller, is used; '
                                 f'remove it here')
        if not cls.uses_features:
            return
        if proxy is None:
            raise ValueError(f'{where}: {cls.__name__} selects by features: give model.proxy')
        cls.check_proxy(proxy)

    @classmethod
    def reads_seed(cls, config: Mapping[str, Any]) -> bool:
        """Whether ``seed`` changes the selection of a config of this class.

        A benchmark makes one set of a selection that it does not change.
        """
        return True

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Choose real images.

        For an IPC budget it is called once per class, with the images of that
        class alone.

        Args:
            features: (N, D) fp32 on the CPU; D is 0 unless ``uses_features``.
            labels: N arrays of class indices, one index per object.
            budget: How many images to choose.

        Returns:
            ``budget`` distinct indices in [0, N).
        """
        raise NotImplementedError

    def describe(self, network, images: torch.Tensor,
                 annotations: Sequence[RealAnnotation]) -> torch.Tensor:
        """What :meth:`select` reads of images as its features; here those of the network.

        Args:
            network: One of :meth:`networks`.
            images: (B, 3, H, W) RGB in [0, 1], stretched to ``feature_size``.
            annotations: Those of the B images, in pixels of their files.

        Returns:
            Tensor: (B, D).
        """
        return network.features(images)

    def networks(self) -> Iterator[Tuple[str, Any]]:
        """Names and networks that describe the real set in turn; here the proxy alone.

        Features of several lie side by side: (N, networks x D).
        """
        yield 'features', self.proxy

    @property
    def num_classes(self) -> int:
        """Number of classes of the real set."""
        return len(self.classes)

    def collect(self, data_batch: Dict[str, Any]) -> None:
        """Keep annotations; features are made in batches as large as these."""
        super().collect(data_batch)
        self._features = None

    def finish_collect(self, folder: Optional[str] = None) -> None:
        """Stream the real images through the proxy; the ranks share the work.

        Args:
            folder: Folder of the job's journal: a resumed job finds its
                features there. None keeps nothing.
        """
        if self.uses_features:
            parts: List[Any] = [AnnotationPass(
                self.describe, network, self.annotations, self.image_size, self.read_batch,
                folder and f'{folder}/{name}', name=f'{name} of the real set').run()
                     for name, network in self.networks()]
            self._features = parts[0] if len(parts) == 1 or parts[0] is None else torch.cat(
                parts, 1)

    def plan(self, budget: BaseBudget) -> List[DistillSlot]:
        """Turn the selection into slots.

        Raises:
            ValueError: If ``select`` returns a wrong number of indices,
                repeated ones or ones out of range.
        """
        total = len(self.annotations)
        num = budget.resolve(total, len(self.classes))
        if self.uses_features and self._features is None:
            self.finish_collect()
        labels = [a.labels for a in self.annotations]
        slots: List[DistillSlot] = []
        groups = budget.groups(labels, len(self.classes), num)
        for number, (members, quota) in enumerate(groups):
            seed = self.seed if len(groups) == 1 else derive_seed('group', self.seed, number)
            need = self.set_stages.slots(quota)
            if need > len(members):
                raise ValueError(f'{budget}: the set stages take {need} real images of '
                                 f'{len(members)}; lower the budget')
            picked = self.pick(members, [labels[i] for i in members], need, seed)
            slots += [self._real_slot(len(slots) + k, self.annotations[members[i]], number)
                      for k, i in enumerate(picked)]
        return slots

    def pick(self, members: np.ndarray, labels: List[np.ndarray], num: int,
             seed: int) -> List[int]:
        """Let :meth:`select` choose among some of the real images, and check what it returns.

        Args:
            members: (M,) indices of those that compete, of ``annotations``.
            labels: Their class indices, one index per object.
            num: How many to choose, at most M.
            seed: Seed of the random draws.

        Returns:
            ``num`` distinct positions in ``members``.

        Raises:
            ValueError: If ``select`` returns a wrong number of indices, repeated ones or ones
                out of range.
        """
        self.draw_seed = seed
        features: Any = self._features if self.uses_features else torch.zeros(
            len(self.annotations), 0)
        if not np.array_equal(members, np.arange(len(self.annotations))):
            features = features[torch.from_numpy(members)]
        return check_indices(f'{type(self).__name__}.select',
                             self.select(features, labels, num), num, len(members))

    def _real_slot(self, index: int, source: RealAnnotation, group: int) -> DistillSlot:
        return DistillSlot(
            id=index, seed=slot_seed(self.seed, index), size=source.size, target=source.target,
            source=source.image_id, source_path=source.path, group=group)

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """Hand over the chosen real images; their files are copied as they are."""
        return [DistilledSample(slot, path=slot.source_path, target=slot.target,
                                label_source='real') for slot in slots]
