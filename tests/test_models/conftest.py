"""Fixtures of the tests that ask a vision-language model."""
import logging

import pytest
from mmengine.logging import MMLogger
from vlm_server import KEY


@pytest.fixture
def vlm_environment(monkeypatch):
    """A key, and proxies that must not matter for this machine."""
    monkeypatch.setenv('OPENAI_API_KEY', KEY)
    for name in ('HTTP_PROXY', 'http_proxy', 'ALL_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:9')


@pytest.fixture
def told(caplog):
    """Everything that is logged, at any level and by any package."""
    caplog.set_level(logging.DEBUG)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: caplog.text
    logger.removeHandler(caplog.handler)
