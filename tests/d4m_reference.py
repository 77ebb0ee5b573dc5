"""The clustering of D4M written from its algorithm 1, a second implementation."""
import numpy as np


def algorithm_1(points, clusters):
    """Lines 3 to 8 of algorithm 1: the first mini-batch holds one point for each centre.

    Equation 5 with eta = 1 / |z_c|, latent by latent, is written out.
    """
    centres, counts = points[:clusters].astype(np.float64), np.ones(clusters)
    for begin in range(clusters, len(points), clusters):
        batch = points[begin:begin + clusters]
        assigned = [int(((z - centres)**2).sum(1).argmin()) for z in batch]
        for z, c in zip(batch, assigned):
            counts[c] += 1
            eta = 1 / counts[c]
            centres[c] = (1 - eta) * centres[c] + eta * z
    return centres


def ordered(rows):
    """Rows in the order of their first number: clusters have no order of their own."""
    rows = np.asarray(rows).reshape(len(rows), -1)
    return rows[np.argsort(rows[:, 0])]
