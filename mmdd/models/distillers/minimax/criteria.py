"""The two criteria of Minimax Diffusion on embeddings of one class."""
import torch
import torch.nn.functional as F
from torch import Tensor

FORMS = ('minimax', 'mean', 'none')
PAIRS = ('item', 'class')


def cosine_similarities(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarities (n, m) of embeddings (n, ...) and (m, ...)."""
    return F.normalize(a.flatten(1), dim=1) @ F.normalize(b.flatten(1), dim=1).T


def representativeness(predicted: Tensor, memory: Tensor, pairs: str = 'item') -> Tensor:
    """L_r, equation 3, as a loss: one minus the similarity to the least similar real entry.

    Args:
        predicted: Predicted embeddings (n, ...) of a class.
        memory: Real embeddings (m, ...) of that class, m at least 1.
        pairs: 'item' takes the least similar entry of each prediction and averages; 'class'
            takes the one least similar pair of all, as the released code does.
    """
    least = cosine_similarities(predicted, memory).amin(1)
    return 1 - (least.mean() if pairs == 'item' else least.amin())


def diversity(predicted: Tensor, memory: Tensor, pairs: str = 'item') -> Tensor:
    """L_d, equation 4: the similarity to the most similar earlier prediction.

    Args:
        predicted: Predicted embeddings (n, ...) of a class.
        memory: Earlier predictions (m, ...) for that class, m at least 1.
        pairs: As for :func:`representativeness`, with the most similar pairs.
    """
    most = cosine_similarities(predicted, memory).amax(1)
    return most.mean() if pairs == 'item' else most.amax()


def mean_representativeness(predicted: Tensor, real: Tensor) -> Tensor:
    """Equation 2, the naive form: one minus the similarity to the mean of a mini-batch.

    Args:
        predicted: Predicted embeddings (n, ...).
        real: Real embeddings (N_B, ...) of the mini-batch.
    """
    return 1 - cosine_similarities(predicted, real.mean(0, keepdim=True)).mean()


def mean_diversity(predicted: Tensor, memory: Tensor) -> Tensor:
    """L_d without the maximum: the mean similarity to all earlier predictions.

    The paper measures it (table 5) without writing it down; this is the form that
    equation 4 takes when its maximum is a mean.
    """
    return cosine_similarities(predicted, memory).mean()


def check_choice(name: str, value: str, known) -> None:
    """Raise ValueError unless ``value`` is known."""
    if value not in known:
        raise ValueError(f'MinimaxFineTuner: {name} must be one of {list(known)}, got {value!r}')


def zero_like(reference: Tensor) -> Tensor:
    """A zero loss on the device of ``reference``."""
    return torch.zeros((), device=reference.device)
