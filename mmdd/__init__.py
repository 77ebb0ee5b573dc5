"""mmdd: dataset distillation with diffusion models inside OpenMMLab."""
from .utils.compat import setup_configs
from .utils.openmmlab import require_openmmlab
from .utils.paths import resolve_path
from .version import __version__

require_openmmlab()
setup_configs(resolve_path)

__all__ = ['__version__']
