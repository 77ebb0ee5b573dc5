"""The small tokenizer: one token a word, nothing refused."""
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdd.models.diffusions import word_tokenizer

WORDS = tiny.WORDS + ['topping', 'to', 'tot']


@pytest.fixture(scope='module')
def tokenizer():
    return word_tokenizer(WORDS, max_length=12)


def test_each_word_is_one_token(tokenizer):
    ids = {word: tokenizer(word)['input_ids'] for word in WORDS}
    assert all(len(i) == 3 for i in ids.values())
    assert len({i[1] for i in ids.values()}) == len(set(WORDS))
    sentence = 'a photo of 3 and 7'
    assert tokenizer(sentence)['input_ids'][1:-1] == [ids[word][1] for word in sentence.split()]


def test_ends_and_padding(tokenizer):
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    padded = tokenizer('a 3', padding='max_length', max_length=12, truncation=True)['input_ids']
    assert padded[0] == start and padded[3:] == [end] * 9 and len(tokenizer) == end + 1
    long = tokenizer('3 ' * 40, padding='max_length', max_length=12, truncation=True)['input_ids']
    assert len(long) == 12 and long[-1] == end


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_accepted(tokenizer, text):
    ids = tokenizer(text)['input_ids']
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    assert max(ids) < len(tokenizer)


def test_unknown_words_keep_their_letters(tokenizer):
    assert tokenizer.decode(tokenizer('zebra 3')['input_ids'], skip_special_tokens=True
                            ).split() == ['zebra', '3']
