"""From what a vision-language model says to the text of a prompt."""
import re
from typing import Iterable

_THOUGHT = re.compile(r'<think>.*?(?:</think>|$)', re.S | re.I)
_FENCE = re.compile(r'^\s*(?:```|~~~)\w*\s*$', re.M)
_LINE_MARK = re.compile(r'^\s*(?:[-*+•]|\d{1,2}[.)]|#{1,6}|>)\s+', re.M)
_EMPHASIS = re.compile(r'[*`]+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)')
_QUOTES = re.compile('["\u201c\u201d\u201e\u00ab\u00bb]')
_LABEL = re.compile(r'^(?:caption|prompt|description|answer)\s*:\s*', re.I)
_REFUSAL = re.compile(
    r"^(?:(?:i['\u2019]?m (?:very )?)?sorry\b|i can(?:no|['\u2019])t\b|as an ai\b|"
    r"i(?: a|['\u2019])m (?:unable|not able)\b)", re.I)


def clean_answer(text: str, max_words: int) -> str:
    """Make one plain line of an answer.

    Reasoning between ``<think>`` tags, Markdown, double quotes, a leading 'Caption:'
    and line breaks are removed.

    Args:
        text: Answer of the model.
        max_words: Words that are kept, from the first.

    Returns:
        str: The line; '' if nothing is left or the model refused to answer.
    """
    text = _THOUGHT.sub(' ', text)
    text = _LINE_MARK.sub('', _FENCE.sub('', text))
    text = _QUOTES.sub('', _EMPHASIS.sub('', text))
    text = ''.join(c if c.isprintable() else ' ' for c in text)
    text = _LABEL.sub('', ' '.join(text.split())).strip(" '\u2018\u2019")
    if _REFUSAL.match(text) or not any(c.isalnum() for c in text):
        return ''
    words = text.split()
    if len(words) > max_words:
        text = ' '.join(words[:max_words]).rstrip(' ,;:-\u2013\u2014')
    return text


def names_any(text: str, names: Iterable[str]) -> bool:
    """Whether a text names one of several classes, as whole words.

    Case, a plural s and blanks, hyphens or underscores inside a name do not
    count: 'Potted plants' names 'pottedplant'. A name with commas lists synonyms.
    """
    for name in names:
        for synonym in name.split(','):
            letters = re.sub(r'[\s_-]+', '', synonym)
            pattern = r'[\s_-]?'.join(map(re.escape, letters))
            if letters and re.search(rf'(?<!\w){pattern}(?:e?s)?(?!\w)', text, re.I):
                return True
    return False
