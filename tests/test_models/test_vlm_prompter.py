"""Prompts from a scripted endpoint: what is asked, what is paid, and what goes wrong."""
import json
import os
import threading
import time

import pytest
from PIL import Image
from vlm_server import (
    CLASSES,
    COLOURS,
    KEY,
    MockServer,
    completion,
    echo,
    failure,
    free_port,
    images,
    leaks,
    prompter,
)

from mmdd.models import AnnotationPrompter
from mmdd.models.prompters import read_prompts
from mmdd.models.prompters.answer_cache import answer_key

pytestmark = pytest.mark.usefixtures('vlm_environment')


def test_right_question_about_the_right_image(tmp_path, told):
    annotations = images(tmp_path)
    file = tmp_path / 'prompts.jsonl'
    with MockServer() as server:
        made = prompter(server.url, dict(image_size=32, concurrency=3)).prompts(
            annotations + annotations[:1], CLASSES, str(file))
    plain = 'a photo of a cat and a dog, '
    assert made[:3] == [plain + 'coloured {} {} {}'.format(*c) for c in COLOURS[:3]]
    assert made[3] == made[0]
    assert read_prompts(str(file)) == dict(zip('012', made))
    for annotation, colour in zip(annotations, COLOURS):
        request, = [r for r in server.requests if r['colour'] == colour]
        assert AnnotationPrompter('{objects}').describe(annotation, CLASSES) in request['question']
        assert 'background' in request['question'] and '60 words' in request['question']
        assert request['size'] == (16, 32) and request['detail'] == 'low'
        assert request['path'] == '/v1/chat/completions'
        assert request['authorization'] == f'Bearer {KEY}'
        assert request['body'] == dict(model='eye', temperature=0., max_tokens=200)
    out = told()
    assert 'eye at 127.0.0.1 describes 3 images: 3 questions to ask, 0 answered before, about ' \
        '255 image tokens' in out
    assert '3 of 3 questions answered, 270 tokens in and 21 out' in out


def test_settings_of_the_request(tmp_path):
    with MockServer() as server:
        made = prompter(
            server.url, dict(api_key_env='', temperature=None, max_tokens=None, detail='high',
                             extra_body=dict(max_completion_tokens=9)),
            questions=['See {classes}?', 'Up to {max_words}: {objects}'],
            max_words=9).describe(images(tmp_path)[1], CLASSES)
    assert made == 'a photo of a cat and a dog, coloured'
    assert [r['question'] for r in server.requests] == [
        'See a cat and a dog?',
        'Up to 9: a cat and a dog, large cat at the center, small dog at the bottom left, '
        'cat overlapping dog']
    assert server.requests[0]['body'] == dict(model='eye', max_completion_tokens=9)
    assert KEY not in server.requests[0]['authorization']
    assert server.requests[0]['detail'] == 'high'


@pytest.mark.parametrize('kind, task, part', [
    ('classification', None, 'This photo shows a dog. '),
    ('detection', None, 'This photo contains a cat and a dog, large '),
    ('segmentation', None, 'regions are an owl, large owl at the right. '),
    ('detection', 'classification', 'This photo shows a cat and a dog. ')])
def test_question_follows_the_task(tmp_path, kind, task, part):
    with MockServer(lambda number, request: 'A dog, a cat and an owl at dusk.') as server:
        made = prompter(server.url, task=task).describe(
            images(tmp_path, kind=kind)[1], CLASSES)
    assert made == 'A dog, a cat and an owl at dusk.'
    assert part in server.requests[0]['question']


def test_one_question_per_class(tmp_path):
    annotations = images(tmp_path, 6, 'classification')
    with MockServer() as server:
        for order in (annotations, annotations[::-1]):
            cache = str(tmp_path / f'{order[0].image_id}.jsonl')
            made = prompter(server.url, per='class', cache='').prompts(order, CLASSES, cache)
            for annotation, prompt in zip(order, made):
                name, example = CLASSES[annotation.labels[0]], COLOURS[annotation.labels[0]]
                article = 'an' if name == 'owl' else 'a'
                assert prompt == f'a photo of {article} {name}, ' + 'coloured {} {} {}'.format(
                    *example)
    assert len(server.requests) == 6 and server.asked()[:3] == server.asked()[3:][::-1]
    with pytest.raises(ValueError, match="'0' is for detection with 2 labels: set per='image'"):
        prompter(server.url, per='class').prompts(images(tmp_path), CLASSES)


def test_nothing_is_paid_twice(tmp_path):
    annotations = images(tmp_path)
    cache = tmp_path / 'shared' / 'answers.jsonl'
    with MockServer() as server, MockServer() as other:
        def calls(url=server.url, backend=(), annotations=annotations, **settings):
            before = len(server.requests) + len(other.requests)
            prompter(url, backend, cache=str(cache), **settings).prompts(annotations, CLASSES)
            return len(server.requests) + len(other.requests) - before

        assert calls() == 3
        entry = json.loads(cache.read_text().splitlines()[0])
        entry.pop('checksum')
        assert entry.pop('key') == answer_key(annotations[0].path, entry.pop('question'), {
            name: entry.pop(name) for name in (
                'model', 'temperature', 'max_tokens', 'image_size', 'detail', 'extra_body')})
        assert entry == dict(answer=echo(server.requests[0]), prompt_tokens=90,
                             completion_tokens=7)
        assert calls() == 0 and calls(max_calls=0) == 0
        assert calls(other.url, dict(concurrency=2, max_retries=1, timeout=9.)) == 0
        os.rename(annotations[0].path, tmp_path / 'renamed.png')
        annotations[0].path = str(tmp_path / 'renamed.png')
        assert calls() == 0
        assert calls(backend=dict(model='ear')) == 3
        assert calls(backend=dict(temperature=.5)) == 3
        assert calls(questions='What about {classes}?') == 3
        Image.new('RGB', (80, 40), COLOURS[4]).save(annotations[0].path)
        assert calls() == 1
    # With everything answered nobody is needed: the servers are gone, and so is the key.
    del os.environ['OPENAI_API_KEY']
    assert prompter(server.url, cache=str(cache)).prompts(annotations, CLASSES)[0].endswith(
        'coloured 40 200 200')


def test_prompts_edited_by_hand_win(tmp_path):
    file = tmp_path / 'prompts.jsonl'
    file.write_text(json.dumps(dict(image='1', prompt='by hand')) + '\n')
    with MockServer() as server:
        made = prompter(server.url).prompts(images(tmp_path), CLASSES, str(file))
    assert made[1] == 'by hand' and len(server.requests) == 2
    assert len((tmp_path / 'vlm_cache.jsonl').read_text().splitlines()) == 2


@pytest.mark.parametrize('trouble', [failure(429), failure(500), failure(503), 'DROP'])
def test_short_troubles_are_waited_out(tmp_path, trouble):
    with MockServer(lambda n, request: trouble if n < (1 if trouble == 'DROP' else 2)
                    else echo(request)) as server:
        made = prompter(server.url, dict(max_retries=2)).prompts(images(tmp_path, 2), CLASSES)
    assert made[0].endswith('coloured 200 30 40')
    assert len(server.requests) == (3 if trouble == 'DROP' else 4)


REPEATED = f'echo {KEY} and sk-proj-***CRET'


@pytest.mark.parametrize('reply, calls, message', [
    (failure(401, REPEATED), 1, r'refuses the key of OPENAI_API_KEY \(401\): set a valid one'),
    (failure(403, REPEATED), 1, r'refuses the key of OPENAI_API_KEY \(403\)'),
    (failure(404, REPEATED), 1, r'no such model or no chat completions.*fix backend.model'),
    (failure(429), 2, r'limits the rate \(429\): lower backend.concurrency'),
    (failure(429, code='insufficient_quota'), 1, r'the quota is used up \(429\)'),
    (failure(500, f'boom {KEY} data:image/jpeg;base64,xyz'), 2,
     r'fails with status 500 \(boom \*\*\* data:image...\)'),
    (failure(400, 'no images\nhere'), 2, r'fails with status 400 \(no images here\)'),
    ((200, b'<html>hi</html>', {'Content-Type': 'text/html'}), 2, 'with no chat completion: is'),
    ((200, b'{"choices": [', {}), 2, 'answers with no JSON: is base_url the root'),
    ((200, b'\xff\xfe', {}), 2, 'answers with no JSON: is base_url the root'),
    ((200, dict(choices=[]), {}), 2, 'answers with no chat completion: is base_url'),
    ((200, dict(choices=[dict(message=dict(content=[1]))]), {}), 2, 'with no chat completion'),
    ((200, [1], {}), 2, 'with no chat completion'),
    ('HANG', 2, r'does not answer within 0.3 s: raise backend.timeout'),
    ('DROP', 2, r'cannot be reached: check base_url, the network')])
def test_lasting_troubles_end_the_job(tmp_path, reply, calls, message, told):
    with MockServer(lambda n, request: echo(request) if n == 0 else reply) as server:
        asking = prompter(server.url, dict(timeout=.3 if reply == 'HANG' else 20.),
                          max_failures=2)
        with pytest.raises(ValueError, match=message) as caught:
            asking.prompts(images(tmp_path, 6), CLASSES, str(tmp_path / 'prompts.jsonl'))
    text = str(caught.value)
    assert text.startswith('eye at 127.0.0.1') and '\n' not in text
    assert '5 of 6 questions are open, all answers are kept in' in text and '--resume' in text
    assert len(server.requests) == 1 + calls
    assert list(read_prompts(str(tmp_path / 'prompts.jsonl'))) == ['0']
    assert caught.value.__cause__ is None
    assert not leaks(tmp_path) and 'SECRET' not in text + told()


def test_failures_that_are_not_in_a_row(tmp_path):
    annotations, file = images(tmp_path, 6), str(tmp_path / 'prompts.jsonl')
    with MockServer(lambda n, request: failure(500) if n % 2 else echo(request)) as server:
        with pytest.raises(ValueError, match='status 500.*3 of 6 questions are open'):
            prompter(server.url, max_failures=2).prompts(annotations, CLASSES, file)
        assert sorted(read_prompts(file)) == ['0', '2', '4']
        server.script = lambda n, request: echo(request)
        prompter(server.url).prompts(annotations, CLASSES, file)
        assert [colour for _, colour in server.asked()[6:]] == [COLOURS[i] for i in (1, 3, 5)]
    assert len(read_prompts(file)) == 6


def test_a_server_that_dies_and_one_that_comes_back(tmp_path):
    annotations, file = images(tmp_path, 6), str(tmp_path / 'prompts.jsonl')

    def script(number, request):
        if number == 3:
            threading.Thread(target=server.close).start()
            server.closing.wait(5)
        return echo(request) if number < 3 else 'DROP'

    with MockServer(script) as server:
        begin = time.monotonic()
        with pytest.raises(ValueError, match='cannot be reached.*3 of 6 questions are open'):
            prompter(server.url, max_failures=2).prompts(annotations, CLASSES, file)
        assert time.monotonic() - begin < 5
    with MockServer(port=server.port) as again:
        made = prompter(again.url).prompts(annotations, CLASSES, file)
    assert [colour for _, colour in again.asked()] == COLOURS[3:]
    assert [p.split('coloured ')[1] for p in made] == ['{} {} {}'.format(*c) for c in COLOURS]


def test_nobody_there(tmp_path):
    asking = prompter(f'http://127.0.0.1:{free_port()}/v1', max_failures=3)
    with pytest.raises(ValueError, match='eye at 127.0.0.1 cannot be reached'):
        asking.prompts(images(tmp_path), CLASSES, str(tmp_path / 'prompts.jsonl'))
    assert not (tmp_path / 'prompts.jsonl').exists()


@pytest.mark.parametrize('text', ['', ' \n', None, "I'm sorry, I can't help with that.", '"**"',
                                  '<think>hm'])
def test_answers_of_no_use(tmp_path, text):
    reply = (200, completion(text), {})
    file = tmp_path / 'prompts.jsonl'
    with MockServer(lambda n, request: reply if n == 0 else echo(request)) as server:
        with pytest.raises(ValueError, match="no usable answer about 1 image.*first '0'.*by hand"):
            prompter(server.url).prompts(images(tmp_path), CLASSES, str(file))
        assert sorted(read_prompts(str(file))) == ['1', '2'] and len(server.requests) == 3
        server.script = lambda n, request: reply
        made = prompter(server.url, fallback=True).prompts(images(tmp_path), CLASSES, str(file))
    assert made[0] == 'a photo of a cat and a dog'


def test_limit_of_calls(tmp_path):
    with MockServer() as server:
        with pytest.raises(ValueError, match='3 questions to eye.* needed, but max_calls is 2: '
                                             'raise.*nothing was asked'):
            prompter(server.url, max_calls=2).prompts(images(tmp_path), CLASSES)
        assert not server.requests
        prompter(server.url, max_calls=3).prompts(images(tmp_path), CLASSES)


def test_concurrency(tmp_path):
    def script(number, request):
        time.sleep(.05)
        return echo(request)

    with MockServer(script) as server:
        prompter(server.url, dict(concurrency=3)).prompts(images(tmp_path, 6), CLASSES)
    assert 1 < server.busiest <= 3


def test_unreadable_image(tmp_path):
    annotations = images(tmp_path)
    (tmp_path / '1.png').write_bytes(b'no image')
    with MockServer() as server:
        with pytest.raises(ValueError, match='1.png cannot be read as an image.*: fix or remove'):
            prompter(server.url).prompts(annotations, CLASSES)
        os.unlink(tmp_path / '1.png')
        with pytest.raises(ValueError, match="1.png, the image of '1', is not there"):
            prompter(server.url).prompts(annotations, CLASSES)


def test_check_asks_once(told):
    with MockServer(lambda n, request: (200, completion(''), {})) as server:
        prompter(server.url).check()
        request, = server.requests
        assert request['size'] == (64, 64) and request['body']['max_tokens'] == 16
        server.script = lambda n, request: failure(429)
        prompter(server.url).check()
        assert 'limits the rate' in told()
        server.script = lambda n, request: failure(404)
        with pytest.raises(ValueError, match='no such model'):
            prompter(server.url).check()
