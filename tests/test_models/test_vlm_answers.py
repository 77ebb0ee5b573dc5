"""What becomes of an answer, where it is kept, and which settings are refused."""
import threading

import pytest
from vlm_server import KEY, prompter

from mmdd.models import OpenAIBackend
from mmdd.models.prompters.answer_cache import AnswerCache
from mmdd.models.prompters.answers import clean_answer, names_any

pytestmark = pytest.mark.usefixtures('vlm_environment')


def test_damaged_cache_and_many_writers(tmp_path, told):
    path = tmp_path / 'cache.jsonl'
    AnswerCache(str(path)).add('a', 'first')
    with open(path, 'a') as f:
        f.write('{"key": "b", "answer": "cut sho')
    cache = AnswerCache(str(path))
    assert cache.answers == dict(a='first')
    assert '1 line(s) cannot be read' in told()
    writers = [threading.Thread(target=lambda w=w: [
        AnswerCache(str(path)).add(f'{w}{i}', f'{w}' * 5000) for i in range(5)]) for w in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    answers = AnswerCache(str(path)).answers
    assert answers.pop('a') == 'first'
    assert answers == {f'{w}{i}': f'{w}' * 5000 for w in range(4) for i in range(5)}


def test_a_changed_answer_is_asked_again(tmp_path, told):
    path = tmp_path / 'cache.jsonl'
    for key, answer in (('a', 'a cat'), ('b', 'half a \ud800 pair'), ('c', 'an owl')):
        AnswerCache(str(path)).add(key, answer, tokens=3)
    assert AnswerCache(str(path)).answers == dict(a='a cat', b='half a ? pair', c='an owl')
    with open(path, 'a') as f:  # of an earlier version
        f.write('{"key": "d", "answer": "a dog"}\n')
    path.write_bytes(path.read_bytes().replace(b'a cat', b'a car'))
    assert AnswerCache(str(path)).answers == dict(b='half a ? pair', c='an owl', d='a dog')
    assert '1 line(s) cannot be read' in told()


@pytest.mark.parametrize('text, line', [
    ('  A cat\n\non grass.  ', 'A cat on grass.'), ('"A cat."', 'A cat.'),
    ('“A **fat** cat”', 'A fat cat'), ('# Caption\n- a cat\n- a dog', 'Caption a cat a dog'),
    ('```text\na `cat`\n```', 'a cat'), ('Caption: the dog\'s bone', "the dog's bone"),
    ('<think>is it\na dog?</think> an owl', 'an owl'),
    ('1. _a_ snake_case __cat__', 'a snake_case cat'),
    ('one two three four five, six', 'one two three four five'), ('\x00\t', ''),
    ("I'm sorry, no.", ''), ('I cannot tell', ''), ('I can see a cat', 'I can see a cat')])
def test_clean_answer(text, line):
    assert clean_answer(text, 5) == line


@pytest.mark.parametrize('text, names, found', [
    ('two Dogs', ['dog'], True), ('a doge', ['dog'], False), ('scatter', ['cat'], False),
    ('a potted plant', ['pottedplant'], True), ('potted-plants!', ['potted_plant'], True),
    ('Tinca tinca', ['tench, Tinca tinca'], True), ('a c++ book', ['c++'], True),
    ('', ['a'], False), ('boxes', ['box'], True), ('an owl', ['cat', 'owl'], True)])
def test_names_any(text, names, found):
    assert names_any(text, names) is found


@pytest.mark.parametrize('settings, message', [
    (dict(task='captioning'), 'task must be one of classification, detection'),
    (dict(per='pixel'), "per must be 'image' or 'class'"), (dict(max_words=2), 'max_words >= 5'),
    (dict(questions='{class}?'), r'has the field \{class\}; there are only \{classes\}'),
    (dict(questions=[]), 'questions is empty'), (dict(questions=['']), 'must be texts'),
    (dict(questions='a { b'), 'write a brace as')])
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        prompter('http://127.0.0.1/v1', **settings)


@pytest.mark.parametrize('settings, message', [
    (dict(api_key=KEY), 'a key must not stand in a config'), (dict(api_key_env=KEY), 'NAME'),
    (dict(model=f'x-{KEY}'), 'holds the key of OPENAI_API_KEY'),
    (dict(extra_body=dict(a=[KEY])), 'holds the key'), (dict(concurrency=0), 'concurrency >= 1'),
    (dict(base_url=f'https://u:{KEY}@host/v1'), 'without user, password'),
    (dict(base_url='host/v1'), 'must be an address'), (dict(base_url='http://h:x/v1'), 'address'),
    (dict(base_url=f'https://host/v1?key={KEY}'), 'without user'), (dict(detail='x'), 'detail')])
def test_settings_of_the_backend(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        OpenAIBackend(**settings)
    assert 'SECRET' not in str(caught.value)


@pytest.mark.parametrize('size, detail, tokens', [
    (512, 'low', 85), (512, 'high', 255), (1024, 'high', 765), (640, 'auto', 765)])
def test_image_tokens(size, detail, tokens):
    assert OpenAIBackend(image_size=size, detail=detail).image_tokens() == tokens


@pytest.mark.parametrize('key', ['', 'with blank', 'ünicode'])
def test_check_of_the_key(key, monkeypatch):
    monkeypatch.setenv('OPENAI_API_KEY', key)
    with pytest.raises(ValueError, match='is no key: it has' if key else
                       "set the environment variable OPENAI_API_KEY, or api_key_env=''") as caught:
        OpenAIBackend(base_url='http://127.0.0.1/v1').check()
    assert not key or key not in str(caught.value)
