"""Pictures in the terminal: their escape codes, when they are shown, and that no log has them."""
import importlib
import io
import re
import sys
from contextlib import redirect_stdout
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from rich.console import Console

from mmdd import apis
from mmdd.apis import distill
from mmdd.engine import TerminalPreviewHook
from mmdd.utils.half_blocks import half_blocks, side_by_side

SQUARE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
CELLS = ('\x1b[38;2;0;1;2;48;2;6;7;8m▀\x1b[0m'
         '\x1b[38;2;3;4;5;48;2;9;10;11m▀\x1b[0m\n')


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self):
        return True


def printed(image, colours):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system=colours)
    console.print(half_blocks(image), end='')
    return file.getvalue()


def test_cells_of_a_picture():
    assert printed(SQUARE, 'truecolor') == CELLS
    # an odd row has no ground, and 256 colours are the nearest ones of the palette
    assert printed(SQUARE[:1], 'truecolor') == (
        '\x1b[38;2;0;1;2m▀\x1b[0m\x1b[38;2;3;4;5m▀\x1b[0m\n')
    assert printed(np.full((2, 1, 3), 255, np.uint8), '256') == '\x1b[38;5;231;48;5;231m▀\x1b[0m\n'


def test_images_in_a_row():
    red, blue = np.zeros((4, 4, 3), np.uint8), np.zeros((8, 4, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 100
    row = side_by_side([red, blue, red], 2, 6)
    assert row.shape == (2, 4, 3), 'the third does not fit'
    assert row[0].tolist() == [[200, 0, 0], [200, 0, 0], [0, 0, 0], [0, 0, 100]]
    assert side_by_side([red], 4, 3).shape == (4, 3, 3)


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns and all colours."""
    monkeypatch.setenv('COLORTERM', 'truecolor')
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '80')
    monkeypatch.delenv('NO_COLOR', raising=False)
    return Terminal()


def shown(hook, out):
    """What a hook has written to ``out`` after a batch."""
    with redirect_stdout(out):
        hook.after_distill_iter(
            None, [SimpleNamespace(image=SQUARE), SimpleNamespace(image=None)])
    return out.getvalue()


def test_a_terminal_shows_one_preview_in_a_while(terminal, monkeypatch):
    now = [100.]
    monkeypatch.setattr('mmdd.engine.hooks.terminal_preview_hook.time',
                        SimpleNamespace(monotonic=lambda: now[0]))
    hook = TerminalPreviewHook(height=2, every=20)
    assert shown(hook, terminal) == CELLS
    now[0] = 119.
    assert shown(hook, terminal) == CELLS
    now[0] = 120.
    assert shown(hook, terminal) == 2 * CELLS


@pytest.mark.parametrize('name, value', [('NO_COLOR', '1'), ('TERM', 'dumb')])
def test_a_terminal_without_colours_shows_nothing(terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert shown(TerminalPreviewHook(), terminal) == ''


def test_another_rank_and_a_file_show_nothing(terminal, monkeypatch):
    assert shown(TerminalPreviewHook(), io.StringIO()) == ''
    monkeypatch.setattr('mmdd.engine.hooks.terminal_preview_hook.get_rank', lambda: 1)
    assert shown(TerminalPreviewHook(), terminal) == ''


def test_a_job_shows_its_images_and_logs_none(digits, terminal, tmp_path):
    preview = {'default_hooks.preview': dict(type='TerminalPreviewHook', every=0)}
    with redirect_stdout(terminal):
        folder = distill(tiny.classification_job(digits), str(tmp_path), cfg_options=preview)
    log, = tmp_path.glob('2*/*.log')
    # five batches of two images of 24 pixels, two pixels to a line
    assert sum('▀' * 2 in one for one in plain(terminal.getvalue()).splitlines()) == 5 * 12
    assert '▀' not in log.read_text()
    assert distill(tiny.classification_job(digits), str(tmp_path), resume=True) == folder


def plain(text):
    """Text without its colours."""
    return re.sub(r'\x1b\[[\d;]*m', '', text)


def test_the_option_of_the_tool(monkeypatch):
    asked = []
    monkeypatch.setattr(apis, 'distill', lambda config, **kwargs: asked.append(kwargs))
    for flags in ([], ['--preview']):
        monkeypatch.setattr(sys, 'argv', ['distill.py', 'job.py', *flags])
        importlib.import_module('distill').main()
    assert [kwargs['cfg_options'] for kwargs in asked] == [
        {}, {'default_hooks.preview': dict(type='TerminalPreviewHook')}]


@pytest.mark.parametrize('settings', [dict(height=1), dict(every=-1)])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match='height must be at least 2 and every at least 0'):
        TerminalPreviewHook(**settings)
