"""The ``mmdd`` command runs the tools by their names."""
import os
import os.path as osp
import subprocess
import sys

import pytest

from mmdd import __version__
from mmdd.__main__ import commands, main

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))

SPAWNS = """'Ask another process.'
import multiprocessing
import beside

def answer():
    return beside.VALUE

if __name__ == '__main__':
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        print(pool.apply(answer))
"""


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['mmdd', *arguments])
    monkeypatch.setattr(sys, 'path', list(sys.path))
    main()


def test_every_tool_is_a_command_but_the_one_that_makes_the_environment():
    tools = commands()
    assert {'distill', 'train', 'evaluate', 'benchmark', 'browse', 'relabel', 'cost',
            'digit_scenes'} <= set(tools)
    assert 'setup_venv' not in tools
    assert tools['distill'] == osp.join(ROOT, 'tools/distill.py')
    assert tools['cifar'] == osp.join(ROOT, 'tools/dataset_converters/cifar.py')


@pytest.mark.parametrize('arguments', [(), ('--help', ), ('-h', )])
def test_help_lists_the_commands(monkeypatch, capsys, arguments):
    run(monkeypatch, *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith('  distill ')] == [
        ['distill', 'Distill', 'a', 'dataset.']]


def test_version(monkeypatch, capsys):
    run(monkeypatch, '--version')
    assert capsys.readouterr().out == f'mmdd {__version__}\n'


def test_an_unknown_command_is_one_line(monkeypatch):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, 'distil', 'config.py')
    assert caught.value.code == ("error: mmdd has no command distil; did you mean 'distill'? "
                                 '(mmdd --help lists them)')


def test_arguments_go_to_the_tool(monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, 'distill', 'mmdd::unidd/none.py')
    assert caught.value.code.startswith('error: mmdd::unidd/none.py not found; tried ')
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, 'tiny_imagenet', '--help')  # a tool in a folder
    assert caught.value.code == 0 and 'validation images' in capsys.readouterr().out


def test_a_tool_finds_its_neighbours_and_itself_in_other_processes(tmp_path):
    tools = tmp_path / 'tools'
    tools.mkdir()
    (tools / 'asks.py').write_text(SPAWNS)
    (tools / 'beside.py').write_text('VALUE = 7')
    code = (f'import sys; from mmdd import __main__ as m; m.SHIPPED = {str(tmp_path)!r}; '
            "sys.argv = ['mmdd', 'asks']; m.main()")
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, text=True,
                          capture_output=True, env=dict(os.environ, PYTHONPATH=ROOT))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == '7\n'
