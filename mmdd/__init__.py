"""mmdd: dataset distillation with diffusion models inside OpenMMLab."""
from mmdd.utils.compat import setup_configs
from mmdd.utils.openmmlab import require_openmmlab
from mmdd.utils.paths import resolve_path
from mmdd.version import __version__

require_openmmlab()
setup_configs(resolve_path)

__all__ = ['__version__']
