"""The command line of mmdd: ``mmdd distill ...`` runs ``tools/distill.py ...``."""
import ast
import glob
import os.path as osp
import runpy
import sys
from typing import Dict

from mmdd.utils.config import suggestion
from mmdd.utils.paths import SHIPPED
from mmdd.version import __version__

TOOLS = ('*.py', 'analysis_tools/*.py', 'dataset_converters/*.py')
HIDDEN = ('setup_venv', )  # makes the environment, from a checkout
USAGE = """usage: mmdd COMMAND [ARGUMENT ...]
       mmdd COMMAND --help
       mmdd --version

Dataset distillation with diffusion models inside OpenMMLab. A config is a file or, from any
folder, one that comes with mmdd: mmdd distill mmdd::unidd/faster-rcnn_digits_5pct.py

commands:
"""


def commands() -> Dict[str, str]:
    """The tools by name, as paths: those for every day first."""
    folder = osp.join(SHIPPED, 'tools')
    paths = [path for pattern in TOOLS
             for path in sorted(glob.glob(osp.join(glob.escape(folder), pattern)))]
    names = [osp.splitext(osp.basename(path))[0] for path in paths]
    return {name: path for name, path in zip(names, paths) if name not in HIDDEN}


def summary(path: str) -> str:
    """What a tool says it does, in its first sentence."""
    with open(path, encoding='utf-8') as f:
        text = ast.get_docstring(ast.parse(f.read())) or ''
    return ' '.join(text.split('\n\n')[0].split())


def usage() -> str:
    """The text of ``mmdd --help``."""
    tools = commands()
    width = max(map(len, tools))
    return USAGE + '\n'.join(f'  {name:{width}}  {summary(path)}' for name, path in tools.items())


def main() -> None:
    """Run a tool with the arguments that follow its name, as Python runs a script."""
    name, *arguments = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        return print(usage())
    if name == '--version':
        return print(f'mmdd {__version__}')
    tools = commands()
    if name not in tools:
        sys.exit(f'error: mmdd has no command {name}{suggestion(name, tools)} '
                 '(mmdd --help lists them)')
    sys.argv = [f'mmdd {name}', *arguments]
    sys.path.insert(0, osp.dirname(tools[name]))
    runpy.run_path(tools[name], run_name='__main__')


if __name__ == '__main__':
    main()
