"""Which patches of a class represent it."""
from typing import List, Optional, Tuple

import numpy as np


def choose_patches(scores: np.ndarray, features: Optional[np.ndarray], num: int,
                   num_clusters: int = 32, top_clusters: int = 10,
                   seed: int = 0) -> List[Tuple[int, int]]:
    """Choose patches of one class by clusters of their features (section 3.3).

    Clusters are ranked by the median R of their patches, highest first. Each of
    the ``top_clusters`` first ones gives ``num // top_clusters`` patches, those
    nearest to its centroid (supplement, section 5). What is missing then, the
    remainder of that division and the places of clusters that are too small, is
    filled with the unused patches of highest R. Ties go to the earlier patch.

    Args:
        scores: R of each patch, (N,).
        features: (N, D); None chooses by R alone, the paper's variant without
            clusters.
        num: How many patches to choose.
        num_clusters: k of k-means.
        top_clusters: How many clusters count.
        seed: Seed of k-means.

    Returns:
        list[tuple]: ``num`` pairs of a patch and the rank of the cluster that
        gave it, -1 where R did; cluster by cluster, then by R.

    Raises:
        ValueError: If there are fewer patches than ``num`` or than clusters.
    """
    if num > len(scores):
        raise ValueError(f'{num} patches are needed, but there are only {len(scores)}')
    chosen: List[Tuple[int, int]] = []
    if features is not None:
        labels, centroids = cluster(features, num_clusters, seed)
        for rank, label in enumerate(rank_clusters(labels, scores)[:top_clusters]):
            members = np.flatnonzero(labels == label)
            gaps = np.linalg.norm(features[members].astype(np.float64) - centroids[label], axis=1)
            nearest = members[np.argsort(gaps, kind='stable')][:num // top_clusters]
            chosen += [(int(i), rank) for i in nearest]
    used = {i for i, _ in chosen}
    by_score = [int(i) for i in np.argsort(-scores, kind='stable') if int(i) not in used]
    return chosen + [(i, -1) for i in by_score[:num - len(chosen)]]


def cluster(features: np.ndarray, num_clusters: int,
            seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """k-means: the cluster of each row, (N,), and the centroids, (k, D).

    Raises:
        ValueError: If there are fewer rows than clusters.
    """
    from sklearn.cluster import KMeans
    if len(features) < num_clusters:
        raise ValueError(f'{len(features)} patches make no {num_clusters} clusters')
    found = KMeans(num_clusters, n_init=10, random_state=seed % 2**32).fit(
        features.astype(np.float64))
    return found.labels_, found.cluster_centers_


def rank_clusters(labels: np.ndarray, scores: np.ndarray) -> List[int]:
    """Clusters by the median score of their members, highest first; empty ones are left out."""
    present = np.unique(labels)
    medians = np.array([np.median(scores[labels == label]) for label in present])
    first = np.array([np.flatnonzero(labels == label)[0] for label in present])
    return present[np.lexsort((first, -medians))].tolist()
