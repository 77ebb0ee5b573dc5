"""Patch selection: a diffusion model that selects instead of generating.

Algorithm 1, and what runs each of its steps:

1. noise of each photograph at several t, with and without  ``PatchScorer``
   the class in the prompt, equation 5                      ``differential_loss``
2. the window in which the class helps most, equation 6     ``best_window``
3. its mean there is the score R of the photograph          ``ScorePass``, ``ScoreStore``
4. diffusion features of the patches                        ``PatchFeatures``
5. k-means of a class; clusters by the median of their R    ``choose_patches``
6. those nearest to the centroids of the best clusters      ``choose_patches``
7. four patches on an image, or one                         ``compose``
"""
import inspect
import os.path as osp
from dataclasses import fields
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmdd.datasets.class_names import spoken_names
from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from mmdd.utils.components import class_of
from mmdd.utils.seed import derive_seed
from .patch_distiller import PatchDistiller
from .patch_features import PatchFeatures
from .ranking import choose_patches
from .scorer import PatchScorer, ScoreSettings, check_prompts

# Patches in an image of each composition.
COMPOSITIONS = dict(C=4, S=1)


@MODELS.register_module()
class PatchSelection(PatchDistiller):
    """`Efficient Dataset Distillation via Diffusion-Driven Patch Selection for Improved
    Generalization <https://arxiv.org/abs/2412.09959>`_, algorithm 1.

    Stage I scores photographs: a frozen text-to-image diffusion predicts their
    noise with and without the class in the prompt, and the window in which the
    class helps most is the patch, the mean there its score R. Stage II clusters the
    patches of a class by their diffusion features and takes those nearest to the
    centroids of the best clusters, see :func:`choose_patches`. The images of the
    set are real pixels; nothing is generated.

    **Composition.** 'C' (concatenated) makes an image of 2 x 2 patches, 'S' (single)
    of one. 'auto' is the paper's choice by images per class: C up to 10, S from 20
    on; for 11 to 19, which the paper leaves open, C. A set of n images per class
    takes P = 4n or n patches of a class: each of the ``top_clusters`` (10) best
    clusters gives P // 10, and the unused patches of highest R fill the rest. With 1
    image per class that is the 4 patches of highest R; with 10, 4 of each cluster,
    which make one image; with 20, 50 and 100, 2, 5 and 10 of each.

    **Cost.** Scores are kept in ``score_dir`` by content, prompt, weights and
    settings. Another budget, composition, clustering or combination of classes of
    the same photographs runs no denoiser.

    **Low resolution.** ``window=None`` scores and takes whole photographs.

    Args:
        diffusion: Config of a text-to-image diffusion adapter.
        composition: 'C', 'S' or 'auto'.
        num_images: Photographs scored in each class, drawn by ``seed``; None scores
            all of them. The paper finds 300 nearly as good as all (figure 6).
        num_clusters: k of k-means.
        top_clusters: Best clusters that patches are taken from.
        cluster_features: What is clustered: 'dift'; None takes the patches of highest
            R without clusters; or the config of an extractor, such as
            ``dict(type='CLIPFeatures', pretrained=...)``, that sees the patches
            (table 5).
        resize, window, timestep_range, num_draws, prompt, null_prompt, dift_block,
            dift_timestep, score_seed: What decides the scores, see
            :class:`ScoreSettings`; ``score_seed`` is its ``seed``.
        score_batch: Draws in one call of the denoiser, which sees two latents
            for each.
        score_dir: Folder of the scores, which jobs may share; None keeps them with
            the job.
        image_size: Side of the images of the set in pixels.
        kwargs: See :class:`DatasetDistiller`.

    Raises:
        ValueError: If a setting is out of range, or the diffusion takes no prompts.
    """

    remedy = "lower the budget, raise model.num_images or set model.composition='S'"
    # Of the three images of a class that a dry run has.
    dry_run_settings = dict(composition='S', num_clusters=2, top_clusters=1, num_draws=1)
    limits = dict(
        composition=('C', 'S', 'auto'), num_images=dict(low=1), num_clusters=dict(low=1),
        top_clusters=dict(low=1), resize=dict(low=1), window=dict(low=1),
        timestep_range=dict(low=0, high=1), num_draws=dict(low=1), dift_block=dict(low=0),
        dift_timestep=dict(low=0, high=1), score_seed=dict(low=0), score_batch=dict(low=1))

    def __init__(self,
                 diffusion: dict,
                 composition: str = 'auto',
                 num_images: Optional[int] = 300,
                 num_clusters: int = 32,
                 top_clusters: int = 10,
                 cluster_features: Union[str, dict, None] = 'dift',
                 resize: int = 256,
                 window: Optional[int] = 224,
                 timestep_range: Sequence[float] = (0.1, 0.7),
                 num_draws: int = 10,
                 prompt: str = 'An image of {}',
                 null_prompt: str = 'An image of .',
                 dift_block: int = 1,
                 dift_timestep: float = 0.16,
                 score_seed: int = 0,
                 score_batch: int = 16,
                 score_dir: Optional[str] = None,
                 image_size: Union[int, Tuple[int, int]] = 224,
                 **kwargs) -> None:
        super().__init__(diffusion=diffusion, image_size=image_size, **kwargs)
        check_choice(composition, num_images, num_clusters, top_clusters, cluster_features,
                     score_batch)
        self.composition = composition
        self.num_images = num_images
        self.num_clusters = num_clusters
        self.top_clusters = top_clusters
        self.cluster_features = cluster_features
        self.extractor = MODELS.build(cluster_features) if isinstance(
            cluster_features, dict) else None
        self.score_dir = score_dir
        self.scorer = PatchScorer(self.diffusion, ScoreSettings(
            resize, window, tuple(timestep_range), num_draws, prompt, null_prompt, dift_block,
            dift_timestep, score_seed), score_batch)

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Check settings, and that the diffusion takes prompts, before weights are loaded."""
        if cfg.get('diffusion') is None:
            raise ValueError('PatchSelection needs model.diffusion')
        given = {field.name: cfg[field.name] for field in fields(ScoreSettings)
                 if field.name in cfg and field.name != 'seed'}
        ScoreSettings(**given)
        check_prompts(class_of(MODELS, cfg['diffusion']))
        defaults = inspect.signature(cls.__init__).parameters
        names = inspect.signature(check_choice).parameters
        check_choice(**{name: cfg.get(name, defaults[name].default) for name in names})

    def class_prompt(self, label: int) -> str:
        """Prompt that says what is in the photographs of a class."""
        return self.scorer.settings.class_prompt(spoken_names(self.classes)[label])

    def scored_as(self, label: int) -> str:
        """The prompt of a class."""
        return self.class_prompt(label)

    def patches_per_image(self, ipc: int) -> int:
        """4 for 'C', 1 for 'S'."""
        return COMPOSITIONS[self.choose_composition(ipc)]

    def about_image(self, each: int) -> Dict[str, Any]:
        """How the image is composed."""
        return dict(composition='S' if each == 1 else 'C')

    def check_class(self, name: str, total: int) -> None:
        """Check that there are as many photographs as clusters.

        Raises:
            ValueError: If not.
        """
        if self.cluster_features is not None and total < self.num_clusters:
            raise ValueError(
                f'{name} has {total} photographs for {self.num_clusters} clusters; lower '
                f'model.num_clusters, raise model.num_images or set cluster_features=None')

    def choose_composition(self, ipc: int) -> str:
        """'C' or 'S': how images of a set of ``ipc`` images per class are composed."""
        if self.composition != 'auto':
            return self.composition
        return 'C' if ipc < 20 else 'S'

    def choose(self, label: int, need: int) -> List[dict]:
        """Stage II: the patches of one class, cluster by cluster."""
        assert self.store is not None
        pool, rows = self.pool[label], self.store.read(self.keys[label])
        chosen = choose_patches(
            rows['score'], self._features(label, rows), need, self.num_clusters,
            self.top_clusters, derive_seed('clusters', self.seed, self.class_prompt(label)))
        return [self._crop(pool[i], rows, i, rank) for i, rank in chosen]

    def _features(self, label: int, rows: Dict[str, np.ndarray]) -> Optional[np.ndarray]:
        """What is clustered, (N, D); None without clusters."""
        if self.extractor is None:
            return rows['dift'] if self.cluster_features == 'dift' else None
        crops = [self._crop(own, rows, i, -1) for i, own in enumerate(self.pool[label])]
        features = PatchFeatures(
            self.extractor, [(crop['path'], crop['resize'], crop['window']) for crop in crops],
            self.image_size, self.scorer.batch_size,
            self.folder and osp.join(self.folder, 'features', str(label)),
            name=f'features of class {label}', share=False).run()
        assert features is not None, 'a rank that works alone gets them'
        return features.numpy()

    def _crop(self, own: RealAnnotation, rows: Dict[str, np.ndarray], index: int,
              rank: int) -> dict:
        """What the manifest says of a patch."""
        whole = self.scorer.settings.window is None
        return dict(
            source=own.image_id, path=own.path, resize=self.scorer.settings.resize,
            window=None if whole else rows['window'][index].tolist(),
            score=float(rows['score'][index]), cluster=rank)


def check_choice(composition: str, num_images: Optional[int], num_clusters: int,
                 top_clusters: int, cluster_features: Union[str, Mapping, None],
                 score_batch: int) -> None:
    """Check the settings of :class:`PatchSelection` that choose patches.

    Raises:
        ValueError: If one is out of range.
    """
    if composition not in (*COMPOSITIONS, 'auto'):
        raise ValueError(
            f"PatchSelection: composition must be 'C', 'S' or 'auto', got {composition!r}")
    if isinstance(cluster_features, str) and cluster_features != 'dift':
        raise ValueError(f"PatchSelection: cluster_features must be 'dift', None or the config of "
                         f'an extractor, got {cluster_features!r}')
    numbers = dict(num_images=1 if num_images is None else num_images, num_clusters=num_clusters,
                   top_clusters=top_clusters, score_batch=score_batch)
    if min(numbers.values()) < 1 or top_clusters > num_clusters:
        raise ValueError(f'PatchSelection: {", ".join(numbers)} must be at least 1 and '
                         f'top_clusters no more than num_clusters, got {numbers}')
