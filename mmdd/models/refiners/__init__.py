"""What happens to a sample between the diffusion and the writer."""
from .proxy_refiner import BaseRefiner, ProxyRefiner, images_to_tensor

__all__ = ['BaseRefiner', 'ProxyRefiner', 'images_to_tensor']
