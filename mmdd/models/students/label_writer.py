"""A teacher writes the soft labels of a set, once for all students."""
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader, Subset

from mmdd.datasets import soft_labels
from mmdd.datasets.label_codec import fill_logits
from mmdd.datasets.replay import SoftLabelDataset
from mmdd.models.proxies.base import reads_rgb
from mmdd.utils.photograph import upright_size
from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed
from .label_settings import open_set
from .teacher import Teacher, build_teachers, mean_logits, teachers_of

# Images per forward pass of the teacher. In evaluation mode it changes nothing else.
_CHUNK = 128


@dataclass
class _Draft:
    """Rows of the only epoch, which no teacher has seen yet; stands in for a store."""
    drawn: np.ndarray

    def rows(self, epoch: int) -> np.ndarray:
        return self.drawn

    def logits(self, row: np.void) -> np.ndarray:
        return np.zeros(0, np.float32)


def write_soft_labels(cfg: Config, folder: str, settings: Dict[str, Any]) -> str:
    """Write the soft labels of a student config epoch by epoch into a folder, and return it.

    Finished epochs are kept. The size is printed before anything is written.

    Args:
        cfg: See :func:`student_config`; its teachers have weights.
        folder: Where the labels go.
        settings: See :func:`read_settings`.

    Raises:
        ValueError: If the folder holds labels of other settings, or a teacher has other classes
            than its config says.
    """
    store = soft_labels.SoftLabelStore.create(folder, settings)
    missing = [epoch for epoch in store.missing if epoch < settings['epochs']]
    if not missing:
        return folder
    print(f'{soft_labels.planned_size(settings)} in {folder}', flush=True)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    teachers = build_teachers(teachers_of(cfg.soft_labels.teacher), device)
    dataset = open_set(cfg)
    total = [soft_labels.rows_of_epoch(settings, epoch) for epoch in range(settings['epochs'])]
    progress = Progress('soft labels', sum(total))
    progress.skip(sum(total) - sum(total[epoch] for epoch in missing))
    sizes = None if settings.get('regime') == 'image' else _image_sizes(dataset)
    for epoch in missing:
        if sizes is None:
            rows, views = np.zeros(total[epoch], store.dtype), dataset
        else:
            rows = soft_labels.draw_epoch(settings, epoch, sizes, store.dtype)[:total[epoch]]
            views = SoftLabelDataset(dataset, _Draft(rows), check=False)
        fill_logits(rows, _ask(cfg, views, teachers, epoch, settings, progress), settings)
        store.write(epoch, rows)
    return folder


def _image_sizes(dataset: Any) -> np.ndarray:
    """(N, 2) height and width of the files, upright as the pipeline decodes them."""
    sizes = np.zeros((len(dataset), 2), np.int64)
    for index in range(len(dataset)):
        with Image.open(dataset.get_data_info(index)['img_path']) as image:
            sizes[index] = upright_size(image)
    return sizes


def _ask(cfg: Config, dataset: Any, teachers: Sequence[Teacher], epoch: int,
         settings: Mapping[str, Any], progress: Progress) -> np.ndarray:
    """Logits (N, K) of the teachers for the rows of an epoch, in their order."""
    loader_cfg = cfg.train_dataloader
    drawn = settings.get('combine') == 'sample'
    rng = np.random.default_rng(derive_seed('teachers', settings.get('seed', 0), epoch))
    rows = range(soft_labels.rows_of_epoch(settings, epoch))
    loader: DataLoader = DataLoader(
        Subset(dataset, rows), settings['batch_size'] if drawn else _CHUNK,
        num_workers=loader_cfg.get('num_workers', 0), collate_fn=pseudo_collate)
    device = next(teachers[0].parameters()).device
    rgb = reads_rgb(dict(train_dataloader=dict(dataset=loader_cfg.dataset.dataset)))
    found = []
    for batch in loader:
        images = torch.stack(batch['inputs']).to(device).float() / 255
        images = images if rgb else images.flip(1)
        asked = [teachers[int(rng.integers(len(teachers)))]] if drawn else teachers
        found.append(mean_logits([teacher.logits(images) for teacher in asked]).cpu().numpy())
        progress.add(len(images))
    logits, num_classes = np.concatenate(found), settings['num_classes']
    if logits.shape[1] != num_classes:
        raise ValueError(f'the teacher has {logits.shape[1]} classes, its config says '
                         f'{num_classes}; correct model.head.num_classes')
    return logits
