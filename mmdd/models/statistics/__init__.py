"""What is learnt of the real images of each class before anything is made."""
from .class_statistics import ClassStatistics
from .latent_clusters import LatentClusters

__all__ = ['ClassStatistics', 'LatentClusters']
