"""What happens to a sample between the diffusion and the writer."""
from .proxy_refiner import BaseRefiner, ProxyRefiner

__all__ = ['BaseRefiner', 'ProxyRefiner']
