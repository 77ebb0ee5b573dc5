"""How far a classifier's probabilities are from the labels of real images."""
from typing import Sequence

import numpy as np
import torch

from mmdd.structures import RealAnnotation


def prediction_errors(network, images: torch.Tensor,
                      annotations: Sequence[RealAnnotation]) -> torch.Tensor:
    """Softmax minus one-hot label: the gradient of the cross-entropy by the logits.

    Args:
        network: A ``ClassifierProxy`` of K classes.
        images: (B, 3, H, W) RGB in [0, 1].
        annotations: Those of the images, of one label each.

    Returns:
        Tensor: (B, K) on the CPU.

    Raises:
        ValueError: If an image has another number of labels, or an unknown one.
    """
    errors = torch.stack(network.predict(images)).float().cpu()
    errors[torch.arange(len(errors)), single_labels(annotations, errors.shape[1])] -= 1
    return errors


def single_labels(annotations: Sequence[RealAnnotation], num_classes: int) -> torch.Tensor:
    """The label of each image, (B,).

    Raises:
        ValueError: If an image has another number of labels, or one that the network lacks.
    """
    for annotation in annotations:
        if len(annotation.labels) != 1 or not 0 <= annotation.labels[0] < num_classes:
            raise ValueError(
                f'{annotation.path}: this coreset compares {num_classes} class probabilities '
                f'with one label an image, this one has the labels '
                f'{annotation.labels.tolist()}; take a coreset for several objects')
    return torch.from_numpy(np.array([a.labels[0] for a in annotations], np.int64))
