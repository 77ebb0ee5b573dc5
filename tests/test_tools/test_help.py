"""What --help costs, and that it says what holds."""
import subprocess
import sys

from run_tool import ROOT, run

from mmdd.__main__ import commands

# Prints the tools behind whose help one of these was imported, in one process.
HELPS = '''
import contextlib, io, os.path, runpy, sys
heavy = {'torch', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'diffusers', 'transformers',
         'matplotlib', 'sklearn', 'scipy', 'cv2'}
for path in sys.argv[1:]:
    sys.argv, sys.path[0] = [path, '--help'], os.path.dirname(path)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as text:
            runpy.run_path(path, run_name='__main__')
    except SystemExit as stop:
        assert not stop.code and 'usage: ' in text.getvalue(), path
    if heavy & set(sys.modules):
        sys.exit(f'{path} imports {heavy & set(sys.modules)}')
'''


def test_help_imports_nothing_that_takes_seconds():
    done = subprocess.run([sys.executable, '-c', HELPS, *commands().values()], cwd=ROOT, text=True,
                          capture_output=True)
    assert (done.returncode, done.stderr) == (0, '')


def test_help_names_the_choices_that_there_are(capsys):
    """Those of modules that it does not import."""
    from probes.memory_plan import ARCHS

    from mmdd.datasets.export import TARGETS
    from mmdd.models.diffusions.loading import DTYPES
    from mmdd.protocols.lr_search import LR_GRID
    for tool, words in (
            ('evaluate.py', ', '.join(map(str, LR_GRID))),
            ('export.py', f'{{{",".join(TARGETS)}}}'),
            ('analysis_tools/memory_plan.py', f'{{{",".join(sorted(ARCHS))}}}'),
            ('analysis_tools/memory_plan.py', f'{{{",".join(sorted(DTYPES))}}}')):
        assert run(tool, '--help') in (None, 0)
        assert words in ' '.join(capsys.readouterr().out.split()), tool
