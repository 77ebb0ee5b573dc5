"""Features of many dimensions in one plane."""
import importlib.util
from typing import Dict, Mapping, Optional

import numpy as np


def check_embedding(method: Optional[str]) -> None:
    """Check that a method is known and installed; ValueError if not."""
    if method not in (None, 'tsne', 'umap'):
        raise ValueError(f'--embedding {method}: choose tsne, umap or none')
    if method == 'umap' and importlib.util.find_spec('umap') is None:
        raise ValueError('--embedding umap: the package umap-learn is not installed; install it '
                         'or choose tsne')


def embed(features: Mapping[str, np.ndarray], method: str = 'tsne') -> Dict[str, np.ndarray]:
    """Map features (N, D) of several sets together into one plane, (N, 2) fp32 by name.

    The method is 'tsne' (scikit-learn) or 'umap'; ValueError for others, or where umap-learn is
    missing. The same features give the same map.
    """
    check_embedding(method)
    together = np.concatenate(list(features.values())).astype(np.float32)
    spread = together.std(0)
    together = (together - together.mean(0)) / np.where(spread > 0, spread, 1.)
    if method == 'umap':
        import umap
        flat = umap.UMAP(n_components=2, random_state=0).fit_transform(together)
    elif len(together) < 4:
        flat = np.pad(together, ((0, 0), (0, 2)))[:, :2]
    else:
        from sklearn.manifold import TSNE
        perplexity = min(30., (len(together) - 1) / 3)
        flat = TSNE(2, perplexity=perplexity, init='random' if together.shape[1] < 2 else 'pca',
                    random_state=0).fit_transform(together)
    ends = np.cumsum([len(values) for values in features.values()])[:-1]
    return dict(zip(features, np.split(flat.astype(np.float32), ends)))
