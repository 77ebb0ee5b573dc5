"""Checks of the fine-tunings of a prior, before the first one begins."""
import os.path as osp
from typing import List, Sequence, Tuple

from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.registry import DefaultScope

from mmdd.datasets.checks import open_real_set
from mmdd.datasets.views import check_class_order, leaf_dataset, read_classes
from mmdd.registry import MODELS
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.components import check_part
from mmdd.utils.rank_zero import ask_rank_0, together
from .preflight import check_writable
from .prepare import prepare
from .training_checks import check_is_training, check_load_from, check_training

WHERE = 'model.fine_tune.cfg'


def check_fine_tunes(jobs: Sequence[Tuple[Config, str]], whole: Config,
                     classes: Sequence[str]) -> None:
    """Check settings, folders and images of what will be trained, of all shards at once.

    Args:
        jobs: See :meth:`FineTuned.jobs`.
        whole: Training config on all classes; its data are prepared.
        classes: Class names of the real set by index.

    Raises:
        ValueError: With the first thing that is wrong.
    """
    # Other processes may train them meanwhile: what is missing is what rank 0 sees.
    there = ask_rank_0(lambda: [osp.isfile(checkpoint) for _, checkpoint in jobs])
    missing = [job for job, found in zip(jobs, there, strict=True) if not found]
    if not missing:
        return
    check_is_training(whole)
    check_training(whole, f'{WHERE}.')
    check_part(f'{WHERE}.model', MODELS, missing[0][0].model)
    prepare(whole)
    with together():
        if get_rank() == 0:
            check_load_from(whole)
            for folder in sorted({osp.dirname(osp.abspath(path)) for _, path in missing}):
                check_writable(folder, 'model.fine_tune.checkpoint')
            check_images(whole, [list(config.model.get('labels') or range(len(classes)))
                                 for config, _ in missing], classes)


def check_images(whole: Config, shards: List[List[int]], classes: Sequence[str]) -> None:
    """Check that the training set is whole, of the classes of the real set, and none is bare.

    Args:
        whole: See :func:`check_fine_tunes`.
        shards: Labels that will be trained on.
        classes: See :func:`check_fine_tunes`.

    Raises:
        ValueError: If not.
    """
    node = whole.train_dataloader.dataset
    scope = leaf_dataset(node).get('_scope_') or whole.get('default_scope') or 'mmengine'
    try:
        with DefaultScope.overwrite_default_scope(scope):
            dataset = open_real_set(node)
    except BAD_INPUT as error:
        raise ValueError(f'{WHERE}: {one_line(error)}') from error
    # Names that it does not state are those of its folders, which may be ids.
    stated = read_classes(whole, scope) or dataset.metainfo['classes']
    if read_classes(whole, scope) or len(stated) != len(classes):
        check_class_order('the training set of the fine-tuning', stated, 'the real set', classes,
                          f'correct {WHERE}.train_dataloader.dataset')
    found = set(map(int, dataset.get_gt_labels()))
    bare = [classes[label] for labels in shards for label in labels if label not in found]
    if bare:
        raise ValueError(f'{WHERE}: the training set has no image of {len(bare)} of '
                         f'{len(classes)} classes ({", ".join(bare[:5])})')
