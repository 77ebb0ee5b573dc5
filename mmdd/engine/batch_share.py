"""A training that was laid out for one process, on several ranks."""
from mmengine.config import Config
from mmengine.dist import get_world_size

from mmdd.registry import MODELS
from mmdd.utils.components import class_of

# Images per rank below which batch normalisation and the ranks' own losses get too noisy.
MIN_SHARE = 2


def share_batch(cfg: Config) -> bool:
    """Divide the batch of a training config by the number of ranks, if that changes nothing.

    The number of updates, the images of each and so the learning rate stay those of one
    process; batch normalisation is synchronised, unless the config says how.

    Args:
        cfg: Training config, changed in place where the ranks share its batch.

    Returns:
        bool: Whether they do. Not where the batch cannot be divided or leaves less than
        ``MIN_SHARE`` images for a rank, where the loss of the model needs all of the batch
        (a true ``needs_whole_batch``), or on CPUs: networks are small there, and the weights
        should be those of one process to the last bit.
    """
    batch, ranks = cfg.train_dataloader.get('batch_size', 1), get_world_size()
    if ranks == 1 or not has_gpu() or batch % ranks or batch // ranks < MIN_SHARE:
        return False
    if needs_whole_batch(cfg.model):
        return False
    cfg.train_dataloader.batch_size = batch // ranks
    cfg.setdefault('sync_bn', 'torch')
    return True


def has_gpu() -> bool:
    """Whether the ranks train on GPUs."""
    import torch
    return torch.cuda.is_available()


def needs_whole_batch(model: dict) -> bool:
    """Whether a model says that its loss cannot be averaged over parts of a batch."""
    return getattr(class_of(MODELS, model), 'needs_whole_batch', False)
