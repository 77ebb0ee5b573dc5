"""Less of what takes most of a short job."""
import ast
import gc

from mmengine.config import config


def _check_syntax(text, **options):
    ast.parse(text)
    return text, False


def skip_layout_of_configs():
    """From here on, this process checks configs that it writes for their syntax alone.

    yapf, which lays them out for people, takes longer than many a job on tiny networks.
    """
    config.FormatCode = _check_syntax


def skip_old_objects():
    """Garbage collection passes over what is there already.

    MMEngine asks for one whenever it reads a data set, and most objects are those of the
    libraries.
    """
    gc.collect()
    gc.freeze()
