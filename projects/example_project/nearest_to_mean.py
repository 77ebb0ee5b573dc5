"""The shortest method: real images whose features lie nearest to the mean of their class."""
from mmdd.models import CoresetBaseline
from mmdd.registry import MODELS


@MODELS.register_module()
class NearestToMean(CoresetBaseline):
    """Keeps the most typical images, by the features of the proxy."""

    uses_features = True  # features of the proxy are computed, streamed and kept for --resume

    def select(self, features, labels, budget):
        """Indices of ``budget`` images of one class.

        Args:
            features: (N, D) fp32.
            labels: N arrays of class indices.
            budget: How many images to choose.
        """
        distance = (features - features.mean(0)).norm(dim=1)
        return distance.argsort(stable=True)[:budget].tolist()
