"""Whole jobs with a vision-language model: killed, resumed, refused early, and discreet."""
import json
import signal
import threading
import time

import processes
import pytest
import tiny
from vlm_server import (
    CLASSES,
    COLOURS,
    KEY,
    MockServer,
    echo,
    failure,
    free_port,
    images,
    leaks,
    prompter,
)

from mmdd.apis import distill
from mmdd.engine.job import describe_parts

pytestmark = pytest.mark.usefixtures('vlm_environment')


ASK = '''
import sys
from pathlib import Path

from vlm_server import CLASSES, images, prompter

folder = Path(sys.argv[1])
prompter(sys.argv[2], dict(concurrency=2)).prompts(
    images(folder, 6), CLASSES, str(folder / 'prompts.jsonl'))
'''


@pytest.mark.slow
def test_killed_process_goes_on(tmp_path):
    images(tmp_path, 6)
    (tmp_path / 'ask.py').write_text(ASK)
    cache = tmp_path / 'vlm_cache.jsonl'
    stop = threading.Event()

    def script(number, request):
        if number >= 3:
            stop.wait(10)
        return echo(request)

    with MockServer(script) as server:
        started = processes.Started(tmp_path / 'ask.py', tmp_path, server.url)
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and started.process.is_alive() and not (
                cache.is_file() and cache.read_text().count('\n') == 3):
            time.sleep(.02)
        started.process.kill()
        assert started.wait(10) == -signal.SIGKILL
        stop.set()
        paid = {entry['answer'] for entry in map(json.loads, cache.read_text().splitlines())}
        assert len(paid) == 3 and not (tmp_path / 'prompts.jsonl').exists()
        before = len(server.requests)
        made = prompter(server.url).prompts(
            images(tmp_path, 6), CLASSES, str(tmp_path / 'prompts.jsonl'))
    asked_again = {echo(request) for request in server.requests[before:]}
    assert len(server.requests) == before + 3 and not asked_again & paid
    assert [p.split(', ')[1] for p in made] == ['coloured {} {} {}'.format(*c) for c in COLOURS]


def vlm_job(root, checkpoint, url):
    job = tiny.distill_job(root, checkpoint, total=3)
    job['model']['prompter'] = dict(type='VLMPrompter', backend=dict(
        type='OpenAIBackend', base_url=url, model='eye', max_retries=0, concurrency=2))
    return job


@pytest.mark.slow
def test_job(digits, detector_checkpoint, tmp_path, told):
    with MockServer() as server:
        server.script = lambda n, request: echo(request) if n < 2 else failure(500)
        job = vlm_job(digits, detector_checkpoint, server.url)
        with pytest.raises(ValueError, match='status 500.*2 of 3 questions are open'):
            distill(job, str(tmp_path))
        server.script = lambda n, request: echo(request)
        out = distill(job, str(tmp_path), resume=True)
        assert len(server.requests) == 4 + 1 + 2  # one trial question in each run
    with open(f'{out}/manifest.json') as f:
        prompts = [image['prompt'] for image in json.load(f)['images']]
    assert len(prompts) == 3 and all('coloured ' in prompt for prompt in prompts)
    lines = (tmp_path / 'vlm_cache.jsonl').read_text().splitlines()
    assert len(lines) == 3
    before = (tmp_path / 'vlm_cache.jsonl').stat().st_mtime_ns
    distill(job, str(tmp_path), resume=True)  # the server is gone; nobody is asked
    assert (tmp_path / 'vlm_cache.jsonl').stat().st_mtime_ns == before
    assert not leaks(tmp_path) and 'SECRET' not in told()


@pytest.mark.parametrize('change, message', [
    (dict(), r'refuses the key of OPENAI_API_KEY \(401\)'),
    (dict(api_key_env='OTHER_KEY'), 'set the environment variable OTHER_KEY'),
    (dict(base_url=f'http://127.0.0.1:{free_port()}/v1'), 'cannot be reached'),
    (dict(api_key=KEY), 'a key must not stand in a config'),
    (dict(apikey=KEY), r'model.prompter.backend.apikey: OpenAIBackend has no such setting; did'),
    (dict(type='TransformersBackend'), 'base_url: TransformersBackend has no such')])
def test_told_before_the_proxy_is_trained(digits, tmp_path, change, message, told):
    with MockServer(lambda n, request: failure(401)) as server:
        job = vlm_job(digits, None, server.url)
        job['model']['prompter']['backend'].update(change)
        with pytest.raises(Exception, match=message) as caught:
            distill(job, str(tmp_path / 'work'))
    assert isinstance(caught.value, ValueError) and 'SECRET' not in str(caught.value)
    assert not (tmp_path / 'work' / 'proxy.pth').exists()
    assert not leaks(tmp_path) and 'SECRET' not in told()


def test_identity_of_the_job(digits, tmp_path):
    from mmdd.utils.config import load_config

    def parts(prompter=(), backend=()):
        job = vlm_job(digits, None, 'http://127.0.0.1/v1')
        job['model']['prompter'].update(prompter)
        job['model']['prompter']['backend'].update(backend)
        return describe_parts(load_config(job))

    same = parts()
    assert parts(dict(cache='x', max_calls=5, max_failures=1)) == same
    assert parts(backend=dict(base_url='http://127.0.0.2/v1', api_key_env='', timeout=3.,
                              concurrency=1, max_retries=9)) == same
    for other in (parts(dict(per='class')), parts(backend=dict(model='ear')),
                  parts(backend=dict(temperature=1.))):
        assert {name for name in same if other[name] != same[name]} == {'model'}
