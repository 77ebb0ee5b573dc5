"""Jobs whose output goes to a file, with news for a parent and without."""
import logging

from mmengine.logging import MMLogger

from mmdd.utils.quiet import has_parent, tell_parent, work_quietly


def test_work_without_a_label_has_no_news_and_leaves_no_open_log(tmp_path, capsys):
    path = tmp_path / 'student' / 'output.log'

    def work(number):
        logger = MMLogger.get_instance(f'quiet_{number}')
        print('chatter')
        tell_parent('news')
        logger.warning('careful')
        assert not has_parent()
        raise ValueError(f'refuses\n{number}')

    assert work_quietly(str(path), None, work, 13) == 'refuses 13'
    text = path.read_text()
    assert text.startswith('chatter\n') and 'careful' in text and 'Traceback' in text
    assert 'news' not in text and capsys.readouterr().out == ''
    logger = MMLogger.get_instance('quiet_13')
    assert not [handler for handler in logger.handlers if isinstance(
        handler, logging.StreamHandler) and handler.stream.closed]
    MMLogger._instance_dict.pop('quiet_13')
