"""Finding files of the project, in the repository and in an installed package."""
import os.path as osp

_PACKAGE = osp.dirname(osp.dirname(osp.abspath(__file__)))
# The folder of configs, tools and projects: the repository's, or .mim of an installed package.
SHIPPED = osp.dirname(_PACKAGE)
if not osp.isfile(osp.join(SHIPPED, 'model-index.yml')):
    SHIPPED = osp.join(_PACKAGE, '.mim')


def tool_command(name: str) -> str:
    """How a tool is started from the working directory, for lines that say what to type.

    Args:
        name: Its file in ``tools``, without the ending.

    Returns:
        str: ``python tools/NAME.py`` in a checkout, ``mmdd NAME`` elsewhere.
    """
    path = f'tools/{name}.py'
    return f'python {path}' if osp.isfile(path) else f'mmdd {name}'


def resolve_path(path: str) -> str:
    """Find a file or folder of the project.

    An absolute path stays. ``mmdd::unidd/x.py`` is the config ``configs/unidd/x.py`` of mmdd,
    ``mmdd::priors/x`` a file or folder of its package. Any other path is looked for under the
    working directory, then where mmdd's configs, tools and projects lie (:data:`SHIPPED`).

    Args:
        path: Path to find.

    Returns:
        str: A path that exists.

    Raises:
        FileNotFoundError: If there is none; the message lists what was tried.
    """
    path = osp.expanduser(path)
    if path.startswith('mmdd::'):
        name = path[len('mmdd::'):]
        tried = [osp.join(SHIPPED, 'configs', name), osp.join(_PACKAGE, name)]
    elif osp.isabs(path):
        tried = [path]
    else:
        tried = [path, osp.join(SHIPPED, path)]
    for candidate in tried:
        if osp.exists(candidate):
            return candidate
    hint = ''
    if path.startswith('mmdd::configs/'):
        hint = f'; the fix: leave configs/ out, mmdd::{path[len("mmdd::configs/"):]}'
    raise FileNotFoundError(f'{path} not found; tried {", ".join(tried)}{hint}')
