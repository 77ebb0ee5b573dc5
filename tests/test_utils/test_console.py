"""What of a log stands on the console."""
import logging
import sys
import warnings

import pytest
import toy_student

from mmdd.utils.console import ConsoleHandler, ignore_insides, use_console_handler
from mmdd.utils.quiet import quiet
from mmdd.utils.runner import JobRunner, build_runner


def record(module, function, level=logging.INFO, created=0., message='text'):
    found = logging.LogRecord('x', level, f'/x/{module}.py', 1, message, (), None, function)
    found.created = created
    return found


@pytest.mark.parametrize('module, function, level, shown', [
    ('runner', '_log_env', logging.INFO, False), ('runner', '__init__', logging.INFO, False),
    ('runner', '_log_env', logging.WARNING, True), ('runner', 'resume', logging.INFO, True),
    ('distill_loop', '__init__', logging.INFO, True)])
def test_tables_are_for_the_log_file(module, function, level, shown):
    handler = ConsoleHandler(logging.StreamHandler())
    assert handler.filter(record(module, function, level)) is shown


def test_warnings_about_the_insides_of_mmengine_are_for_the_log_file(tmp_path):
    """Their words are those of the mmengine that is installed."""
    from mmengine.fileio import FileClient
    from mmengine.logging import MMLogger
    heard, logger = [], MMLogger.get_instance('insides')
    handler = ConsoleHandler(logging.StreamHandler())
    logger.handlers = [logging.Handler()]
    logger.handlers[0].emit = lambda entry: heard.append(entry)
    FileClient('disk')
    logger.warning('a class has no image')
    # A second line is about its backend, which a process has made once.
    assert len(heard) >= 2
    assert [handler.filter(entry) for entry in heard] == [False] * (len(heard) - 1) + [True]


def test_warnings_about_the_insides_of_mmseg_are_passed_over():
    from mmseg.models.builder import build_loss
    with warnings.catch_warnings(record=True) as heard:
        ignore_insides()
        build_loss(dict(type='mmseg.CrossEntropyLoss'))
        warnings.warn('a class has no image', stacklevel=1)
    assert [str(warning.message) for warning in heard] == ['a class has no image']


def test_iterations_are_shown_every_ten_seconds():
    handler = ConsoleHandler(logging.StreamHandler())
    shown = [second for second in range(35) if handler.filter(
        record('logger_hook', 'after_train_iter', created=float(second)))]
    assert shown == [0, 10, 20, 30]
    assert handler.filter(record('logger_hook', 'after_val_epoch', created=34.))


def test_level_and_filters_of_the_handler_before_count(capsys):
    logger = logging.Logger('x')
    plain = logging.StreamHandler(sys.stderr)
    plain.setLevel(logging.WARNING)
    plain.addFilter(lambda entry: 'secret' not in entry.getMessage())
    logger.addHandler(plain)
    use_console_handler(logger)
    logger.info('quiet')
    logger.warning('secret')
    logger.warning('heard')
    assert capsys.readouterr() == ('heard\n', '')


def training(folder):
    for split in ('train', 'val', 'test'):
        toy_student.voc_set(folder / 'real', [3], split)
    return toy_student.training(folder / 'real')


def test_a_training_is_short_on_the_console_and_whole_in_its_log(tmp_path, capsys):
    cfg = dict(training(tmp_path), log_level='INFO')
    runner = build_runner(cfg, str(tmp_path / 'work'))
    assert isinstance(runner, JobRunner)
    said = capsys.readouterr().out
    with open(runner.logger.log_file) as f:
        kept = f.read()
    for table in ('System environment', 'Config:', 'Hooks will be executed'):
        assert table in kept and table not in said
    assert len(said.splitlines()) < 5 < 100 < len(kept.splitlines())


def test_a_quiet_training_tells_its_parent_how_far_it_is(tmp_path, capsys):
    with quiet(str(tmp_path / 'output.log'), 'Toy'):
        runner = build_runner(training(tmp_path), str(tmp_path / 'work'))
        hook = next(h for h in runner.hooks if type(h).__name__ == 'ParentHook')
        hook.before_train(runner)
        hook.progress.clock = iter((11., 15., 22., 40.)).__next__
        hook.progress.begin = hook.progress.last = 0.
        for _ in range(4):
            hook.after_train_iter(runner)
    assert runner.max_iters == 4
    assert capsys.readouterr().out.splitlines() == [
        '    Toy: work: 1 of 4 iterations, 0.0909 per second, eta 0:00:33',
        '    Toy: work: 3 of 4 iterations, 0.136 per second, eta 0:00:07',
        '    Toy: work: 4 iterations in 0:00:40']
