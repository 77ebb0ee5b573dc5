"""What the scripts that train the embedded priors share."""
from .arguments import add_arguments
from .data import SIZE, Pool, encode_pool, layout_stream, to_tensor
from .loop import fit
from .noise import NoiseLevels, make_scheduler, velocity_loss

__all__ = [
    'NoiseLevels', 'Pool', 'SIZE', 'add_arguments', 'encode_pool', 'fit', 'layout_stream',
    'make_scheduler', 'to_tensor', 'velocity_loss'
]
