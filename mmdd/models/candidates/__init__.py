"""Several candidates for one image, of which the best is kept."""
from .pool import CandidatePool

__all__ = ['CandidatePool']
