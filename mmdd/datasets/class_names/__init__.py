"""Class names of known datasets, by label index."""
from .tables import (
    PAPER_IDS,
    TABLES,
    class_names,
    class_wnids,
    coco_category_ids,
    imagenet_indices,
    spoken_names,
    synset_names,
    table_of,
)

__all__ = [
    'PAPER_IDS', 'TABLES', 'class_names', 'class_wnids', 'coco_category_ids', 'imagenet_indices',
    'spoken_names', 'synset_names', 'table_of'
]
