"""Runs a tool of the project in this process."""
import os.path as osp
import runpy
import sys

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))


def run(tool, *argv):
    """Run a tool in this process; what it exits with (None if it does not)."""
    old = sys.argv
    sys.argv = [tool, *map(str, argv)]
    try:
        runpy.run_path(osp.join(ROOT, 'tools', tool), run_name='__main__')
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = old
