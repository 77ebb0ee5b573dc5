"""Scores of samples by a network that looks at every image once."""
from typing import List, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmdd.structures import DistilledSample
from mmdd.utils.photograph import read_array
from .base import TaskProxy


def images_to_tensor(samples: Sequence[DistilledSample]) -> Tensor:
    """Images of samples as (B, 3, H, W) float RGB in [0, 1]."""
    images = [sample.image for sample in samples if sample.image is not None]
    assert len(images) == len(samples), 'all have images'
    stacked = np.stack(images)
    # One memory layout, wherever the images come from: kernels of others round differently.
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous().float() / 255


def predict_samples(samples: Sequence[DistilledSample], proxy: TaskProxy,
                    name: str) -> Tuple[Tensor, list]:
    """What a network sees in the images of samples.

    Images that it has seen before are not looked at again: predictions stay with the
    samples as long as their images are the same.

    Args:
        samples: B samples with images of one size.
        proxy: The network.
        name: Its part in the job, 'proxy' or 'judge'.

    Returns:
        tuple: Images (B, 3, H, W) on the network's device, and B predictions.
    """
    images = images_to_tensor(samples).to(next(proxy.parameters()).device)
    unseen = [i for i, sample in enumerate(samples)
              if sample.predictions.get(name, (None, ))[0] is not sample.image]
    if unseen:
        found = proxy.predict(images if len(unseen) == len(samples) else images[unseen])
        for i, prediction in zip(unseen, found):
            image = samples[i].image
            assert image is not None
            samples[i].predictions[name] = (image, prediction)
    return images, [sample.predictions[name][1] for sample in samples]


def score_samples(samples: Sequence[DistilledSample], proxy: TaskProxy, name: str) -> Tensor:
    """Scores (B,) in [0, 1] by a network, see :func:`predict_samples`."""
    images, predictions = predict_samples(samples, proxy, name)
    return proxy.score(images, samples, predictions)


def judge_samples(samples: Sequence[DistilledSample], judge: TaskProxy) -> None:
    """Let the judge score samples: fills their ``judge_score``.

    Photographs of a coreset, which have a size of their own, are read one by one.
    """
    made = [sample for sample in samples if sample.image is not None]
    scores: List[float] = []
    if made:
        scores = score_samples(made, judge, 'judge').tolist()
    for sample, score in zip(made, scores):
        sample.judge_score = score
    for sample in samples:
        if sample.image is None:
            image = torch.from_numpy(np.array(read_array(sample.path))).permute(2, 0, 1)[None]
            image = image.to(next(judge.parameters()).device).float() / 255
            sample.judge_score = float(judge.score(image, [sample])[0])
