"""How near the set is to the real one, while it is made and in its manifest."""
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from PIL import Image

from mmdd.datasets.annotations import fit_size, load_image
from mmdd.evaluation.feature_metrics import RunningMMD, feature_metrics, score_statistics
from mmdd.models.proxies.feature_pass import FeaturePass, extract
from mmdd.registry import HOOKS, MODELS
from mmdd.structures import DistilledSample
from mmdd.utils.components import class_of
from mmdd.utils.config import fingerprint, resolve_path
from mmdd.utils.io import sha256
from mmdd.utils.seed import derive_seed
from mmdd.utils.state import read_arrays, write_arrays


@HOOKS.register_module()
class FeatureMetricsHook(Hook):
    """Compares features of the distilled set with those of real images.

    While images are made, the log shows ``mmd2`` of the accepted ones that this
    process made. The manifest gets ``metrics`` of the final set: MMD, coverage,
    density and statistics of the proxy's scores, see
    :mod:`mmdd.evaluation.feature_metrics`; the first three also go to the visualizer, as
    ``set/mmd2`` and so on. Every image passes the extractor once:
    features lie in the job's journal, also for a resumed job. They change no image.

    Args:
        extractor: Config of what gives features, with its ``checkpoint``: a
            proxy or ``BackboneFeatures``. None takes the distiller's proxy. Figures
            of two sets can be compared only where extractor and ``size`` agree.
        size: (height, width) to which all images are brought first, one number
            for squares; None takes the distiller's image size.
        crop: Cut images to the shape of ``size`` instead of stretching them.
        num_real: How many real images stand for the real set; the same ones for
            every set.
        k: Neighbour that sets the reach of coverage and density.
        batch_size: Images in one forward pass of the extractor.
        cache: Folder in which jobs share the features of the real images; they are
            computed again where files, weights or settings changed. None keeps
            them in the job's own journal.

    Raises:
        ValueError: If an argument is out of range.
    """

    priority = 'LOW'
    limits = dict(size=dict(low=8), num_real=dict(low=2), k=dict(low=1), batch_size=dict(low=1))

    def __init__(self,
                 extractor: Optional[dict] = None,
                 size: Union[int, Tuple[int, int], None] = None,
                 crop: bool = False,
                 num_real: int = 2000,
                 k: int = 5,
                 batch_size: int = 32,
                 cache: Optional[str] = None) -> None:
        if num_real < 2 or k < 1 or batch_size < 1:
            raise ValueError(
                f'FeatureMetricsHook: num_real must be at least 2, k and batch_size at least 1, '
                f'got {num_real}, {k} and {batch_size}')
        if extractor is not None and extractor.get('checkpoint') is None:
            raise ValueError('FeatureMetricsHook: extractor needs a checkpoint; random weights '
                             'measure nothing')
        self.extractor = extractor
        self.size: Optional[Tuple[int, int]] = (size, size) if isinstance(size, int) else size
        self.crop = crop
        self.num_real = num_real
        self.k = k
        self.batch_size = batch_size
        self.cache = cache
        self.model: Optional[torch.nn.Module] = None
        self.folder = ''
        self._real: Optional[np.ndarray] = None
        self._running: Optional[RunningMMD] = None

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check, before a job begins, that something gives features.

        Args:
            model: Config of the distiller.

        Raises:
            ValueError: If nothing does.
        """
        if self.extractor is None and model.get('proxy') is None:
            raise ValueError(
                f'FeatureMetricsHook: {class_of(MODELS, model).__name__} has no proxy; set '
                f"extractor, such as dict(type='BackboneFeatures', cfg=..., checkpoint=...)")

    def before_train(self, runner) -> None:
        """Build the extractor before any work is done.

        Raises:
            ValueError: If its weights are missing.
        """
        distiller = runner.train_loop.distiller
        self.build(runner.cfg.model.get('proxy'), distiller.image_size,
                   runner.train_loop.journal.folder, distiller.proxy)

    def build(self, proxy: Optional[Mapping[str, Any]], image_size: Tuple[int, int],
              folder: str, network: Optional[torch.nn.Module] = None) -> None:
        """Build the extractor, and say where features of a job are kept.

        Args:
            proxy: Config of the job's proxy with its ``checkpoint``, the extractor where the
                hook has none of its own.
            image_size: (height, width) of the job's images.
            folder: Folder of the job's journal.
            network: The proxy; built from its config where it is needed and None.
        """
        size = self.size or image_size
        self.size = (size[0], size[1])
        node = dict(self.extractor or proxy or {})
        kind = class_of(MODELS, node)
        if not getattr(kind, 'trained_by_job', True):
            node['checkpoint'] = kind.local_checkpoint(node.get('checkpoint'))
        self.model = network
        if self.extractor is not None or network is None:
            self.model = MODELS.build(node).to(get_device())
        weights = node.pop('checkpoint', None)
        key = fingerprint(dict(part=dict(
            node, size=list(self.size), weights=weights and sha256(resolve_path(weights)),
            **(dict(crop=True) if self.crop else {}))))
        self.folder = osp.join(folder, 'metrics', key[:12])

    def after_distill_iter(self, runner, samples: List[DistilledSample]) -> None:
        """Keep the features of accepted images and log how near they are."""
        accepted = [sample for sample in samples if sample.accepted]
        if not accepted:
            return
        features = self._features(runner, accepted)
        if get_rank() != 0:
            return
        if self._running is None:
            self._running = RunningMMD(self._real_features(runner))
        self._running.add(features)
        value = self._running.value()
        if value is not None:
            runner.message_hub.update_scalar('train/mmd2', value)

    def before_manifest(self, runner, samples: List[DistilledSample],
                        summary: Dict[str, Any]) -> None:
        """Add ``metrics`` of the final set to the manifest's summary."""
        distiller = runner.train_loop.distiller
        # Where set stages make several images of a sample, ids are those of the set.
        prefix = 'set_' if distiller.set_stages.expanders else ''
        real, made = self._real_features(runner), self._features(runner, samples, prefix)
        thresholds = [refiner.threshold for refiner in distiller.refiners
                      if hasattr(refiner, 'threshold')]
        assert self.size is not None
        found = dict(
            feature_metrics(real, made, self.k),
            extractor=type(self.model).__name__, extractor_id=osp.basename(self.folder),
            size=list(self.size), dim=real.shape[1], num_real=len(real), num_distilled=len(made),
            score=score_statistics([s.score for s in samples], [s.labels for s in samples],
                                   distiller.classes, thresholds[0] if thresholds else None))
        summary['metrics'] = found
        known = {name: found[name] for name in ('mmd2', 'coverage', 'density')
                 if found[name] is not None}
        print_log('distance to the real set: ' + ', '.join(
            f'{name} {value:.4f}' for name, value in known.items()), 'current')
        runner.visualizer.add_scalars(
            {f'set/{name}': value for name, value in known.items()}, step=runner.iter)

    def _real_features(self, runner) -> np.ndarray:
        """Features of the real images that stand for all, (M, D)."""
        if self._real is None:
            features = self.real_pass(
                [annotation.path for annotation in runner.train_loop.distiller.annotations]).run()
            assert features is not None, 'a rank that works alone gets them'
            self._real = features.numpy()
        return self._real

    def real_pass(self, paths: Sequence[str]) -> FeaturePass:
        """The pass over the real images that stand for all.

        Args:
            paths: All real images, in the order of their dataset.
        """
        rng = np.random.default_rng(derive_seed('real features', self.num_real))
        picked = np.sort(rng.permutation(len(paths))[:self.num_real])
        chosen = [paths[i] for i in picked]
        assert self.size is not None
        return FeaturePass(self.model, chosen, self.size, self.batch_size,
                           self._real_folder(chosen), 'features for the metrics', share=False,
                           crop=self.crop)

    def _real_folder(self, paths: List[str]) -> str:
        """Where features of these real images are kept."""
        if self.cache is None:
            return osp.join(self.folder, 'real')
        files = derive_seed('real files', *map(osp.abspath, paths))
        return osp.join(self.cache, f'{osp.basename(self.folder)}_{files:016x}')

    def _features(self, runner, samples: List[DistilledSample], prefix: str = '') -> np.ndarray:
        """Features of samples, (N, D): those on disk, the others computed and kept."""
        files = [self._file(sample, prefix) for sample in samples]
        found = [self._load(file) for file in files]
        missing = [i for i, features in enumerate(found) if features is None]
        for begin in range(0, len(missing), self.batch_size):
            batch = missing[begin:begin + self.batch_size]
            images = [self._image(runner, samples[i]) for i in batch]
            for i, features in zip(batch, extract(self.model, images)):
                found[i] = features
                write_arrays(files[i], features=features)
        return np.stack([features for features in found if features is not None])

    def _file(self, sample: DistilledSample, prefix: str) -> str:
        return osp.join(self.folder, f'{prefix}{sample.slot.id:06d}_r{sample.slot.round}.npz')

    def _load(self, file: str) -> Optional[np.ndarray]:
        found = read_arrays(file, ('features', ))
        return None if found is None else found['features']

    def _image(self, runner, sample: DistilledSample) -> np.ndarray:
        """The image of a sample at the extractor's size, (H, W, 3) uint8 RGB."""
        assert self.size is not None
        if sample.path:
            return load_image(sample.path, self.size, self.crop)
        image = sample.image
        if image is None:
            image = runner.train_loop.journal.read_image((sample.slot.id, sample.slot.round))
        if image.shape[:2] == self.size:
            return image
        return np.asarray(fit_size(Image.fromarray(image), self.size, self.crop))
