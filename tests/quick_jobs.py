"""Less of what takes most of a short job."""
import ast
import copy
import gc
import os.path as osp

from mmengine.config import Config, config

CONFIGS = osp.join(osp.dirname(osp.dirname(osp.abspath(__file__))), 'configs', '')


def _check_syntax(text, **options):
    ast.parse(text)
    return f'{text.rstrip()}\n', False  # yapf ends with a new line as well


def skip_layout_of_configs():
    """From here on, this process checks configs that it writes for their syntax alone.

    yapf, which lays them out for people, takes longer than many a job on tiny networks.
    """
    config.FormatCode = _check_syntax


def read_config_files_once():
    """From here on, this process reads every config file of the repository once.

    Most of them inherit from the same files.
    """
    read, known = Config._file2dict, {}

    def read_once(filename, *args, **kwargs):
        path = osp.abspath(osp.expanduser(filename))
        if not path.startswith(CONFIGS):
            return read(filename, *args, **kwargs)
        key = path, args, tuple(sorted(kwargs.items()))
        if key not in known:
            known[key] = read(filename, *args, **kwargs)
        return copy.deepcopy(known[key])

    Config._file2dict = staticmethod(read_once)


def skip_old_objects():
    """Garbage collection passes over what is there already.

    MMEngine asks for one whenever it reads a data set, and most objects are those of the
    libraries.
    """
    gc.collect()
    gc.freeze()
