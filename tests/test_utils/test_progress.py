"""Progress of long stages: how many lines, and the time that is left."""
import io
import sys

import pytest
from mmengine.logging import MMLogger

from mmdd.utils.cli import run_cli
from mmdd.utils.console import LIVE, ConsoleHandler
from mmdd.utils.progress import Progress, announce
from mmdd.utils.quiet import quiet


@pytest.fixture
def lines(caplog):
    """Messages of the current logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog.messages
    logger.removeHandler(caplog.handler)


class Clock:
    """A clock that a test sets."""

    now = 0.

    def __call__(self) -> float:
        return self.now


def test_a_line_every_ten_seconds_and_one_at_the_end(caplog, lines):
    clock = Clock()
    progress = Progress('features', 1000, clock=clock)
    progress.skip(400)
    for clock.now in (6., 12., 18., 24., 30., 36.):
        progress.add(100)
    assert caplog.messages == [
        'features: 600 of 1000 images, 16.7 per second, eta 0:00:24',
        'features: 800 of 1000 images, 16.7 per second, eta 0:00:12',
        'features: 1000 images in 0:00:36']


def test_a_hundred_thousand_things_give_few_lines(caplog, lines):
    clock = Clock()
    progress = Progress('soft labels', 100_000, 'rows', every=60., clock=clock)
    for i in range(100_000):
        clock.now = (i + 1) / 100
        progress.add()
    assert len(caplog.messages) == 17
    assert caplog.messages[0] == 'soft labels: 6000 of 100000 rows, 100 per second, eta 0:15:40'
    assert caplog.messages[-2].endswith('eta 0:00:40')
    assert caplog.messages[-1] == 'soft labels: 100000 rows in 0:16:40'


def test_a_short_stage_says_nothing(caplog, lines):
    clock = Clock()
    progress = Progress('features', 10, clock=clock)
    for clock.now in range(9):
        progress.add()
    clock.now = 9.9
    progress.add()
    assert not caplog.messages


def test_other_ranks_say_nothing(caplog, lines, monkeypatch):
    monkeypatch.setattr('mmdd.utils.progress.get_rank', lambda: 1)
    clock = Clock()
    progress = Progress('features', 10, clock=clock)
    for clock.now in (20., 40.):
        progress.add(5)
    announce('news')
    assert not caplog.messages


class Terminal(io.StringIO):
    """Takes output and calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_and_the_log_file_plain_ones(caplog, lines, monkeypatch):
    screen, clock = Terminal(), Clock()
    monkeypatch.setattr(sys, 'stdout', screen)
    monkeypatch.setattr('mmdd.utils.console.REFRESH', 0.)
    logger = MMLogger.get_current_instance()
    console = ConsoleHandler(caplog.handler)
    monkeypatch.setattr(logger, 'handlers', [caplog.handler, console])
    progress = Progress('scores', 4, clock=clock)
    for clock.now in (6., 12.):
        progress.add()
    plain = 'scores: 2 of 4 images, 0.167 per second, eta 0:00:12'
    assert caplog.messages == [plain]
    states = screen.getvalue().split('\r\x1b[2K')
    assert states == ['', 'scores: 1 of 4 images, 0.167 per second, eta 0:00:18', plain, '']
    # Other lines of the log stand on lines of their own.
    progress.add()
    logger.warning('careful')
    assert screen.getvalue().split('\r\x1b[2K')[-1].endswith('careful\n')
    clock.now = 24.
    progress.add()
    assert screen.getvalue().endswith('scores: 4 images in 0:00:24\n') and not LIVE._open


def test_an_error_has_a_line_of_its_own(monkeypatch):
    screen, clock = Terminal(), Clock()
    monkeypatch.setattr(sys, 'stdout', screen)
    monkeypatch.setattr('mmdd.utils.console.REFRESH', 0.)

    def main():
        progress = Progress('scores', 4, clock=clock)
        clock.now = 1.
        progress.add()
        raise ValueError('the disk is full')

    with pytest.raises(SystemExit, match='error: the disk is full'):
        run_cli(main)
    assert screen.getvalue().endswith('eta 0:00:03\r\x1b[2K')


def test_a_parent_gets_progress_and_news_and_nothing_else(tmp_path, capsys):
    clock, path = Clock(), tmp_path / 'output.log'
    with quiet(str(path), 'UniDD/seed0'):
        print('chatter')
        announce('12 images to make')
        progress = Progress('features', 4, clock=clock)
        for clock.now in (11., 15., 22.):
            progress.add()
    announce('afterwards')
    assert capsys.readouterr().out.splitlines()[:3] == [
        '    UniDD/seed0: 12 images to make',
        '    UniDD/seed0: features: 1 of 4 images, 0.0909 per second, eta 0:00:33',
        '    UniDD/seed0: features: 3 of 4 images, 0.136 per second, eta 0:00:07']
    assert path.read_text().startswith('chatter\n') and 'afterwards' not in path.read_text()
