"""Keys in what an endpoint says."""
import json
import os
import re

import pytest
from vlm_server import CLASSES, KEY, MockServer, images, leaks, prompter

from mmdd.models.prompters.answers import clean_answer
from mmdd.models.prompters.redaction import redact

HIDDEN = '**'.join(KEY)


@pytest.mark.parametrize('text', [
    KEY, f'a cat {KEY} b', KEY.upper(), ' '.join(KEY), HIDDEN, '_'.join(KEY), f'"{KEY}"',
    KEY.replace('-', '\u200b-\n')])
def test_a_key_is_found(text):
    found = redact(text, KEY)
    assert '***' in found
    for shown in (found, clean_answer(found, 60)):
        assert '0123456789abcdef' not in re.sub(r'[\W_]', '', shown).lower()


def test_other_words_stay():
    for text in ('a cat on a mat', KEY[:-1], ''):
        assert redact(text, KEY) == text
    assert redact('EMPTY boxes, emptyings', 'EMPTY') == '*** boxes, emptyings'
    assert redact('a cat', '') == 'a cat'


@pytest.mark.usefixtures('vlm_environment')
def test_an_endpoint_that_repeats_the_key(tmp_path, told):
    file = str(tmp_path / 'prompts.jsonl')
    replies = [f'a cat, {KEY}', f'a cat, {HIDDEN}', f'<think>{KEY}</think> a cat']
    with MockServer(lambda number, request: replies[number]) as server:
        made = prompter(server.url, dict(concurrency=1)).prompts(
            images(tmp_path), CLASSES, file)
    assert all('cat' in text for text in made)
    assert not leaks(tmp_path)
    kept = [json.loads(line)['answer'] for line in open(tmp_path / 'vlm_cache.jsonl')]
    assert kept[:2] == ['a cat, ***', 'a cat, ***'] and os.path.isfile(file)
    for text in (*made, *kept, told()):
        assert 'SECRET' not in text and KEY[-12:] not in re.sub(r'[\W_]', '', text)
