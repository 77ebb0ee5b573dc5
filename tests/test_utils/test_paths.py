"""Lines that say what to type fit the folder that one is in."""
from mmdd.utils.paths import tool_command


def test_a_tool_of_a_checkout_and_one_of_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tool_command('browse') == 'mmdd browse'
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/browse.py').write_text('')
    assert tool_command('browse') == 'python tools/browse.py'
    assert tool_command('evaluate') == 'mmdd evaluate'
