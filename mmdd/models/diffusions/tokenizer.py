"""Token ids of prompts, and a small CLIP tokenizer that knows a given list of words."""
import json
import logging
import os
import os.path as osp
import tempfile
from typing import Any, Optional, Sequence

from mmengine.logging import print_log
from torch import Tensor

START, END = '<|startoftext|>', '<|endoftext|>'


def token_ids(tokenizer: Any, prompts: Sequence[str], length: Optional[int] = None) -> Tensor:
    """Token ids (B, length) of prompts, padded; a prompt that is cut is told.

    Args:
        tokenizer: A tokenizer of transformers.
        prompts: B prompts.
        length: Most tokens of a prompt; that of the tokenizer if None.
    """
    length = length or tokenizer.model_max_length
    tokens = tokenizer(list(prompts), padding='max_length', truncation=True, max_length=length,
                       return_tensors='pt')
    # Else transformers warns of errors that the cut above prevents.
    full = tokenizer(list(prompts), verbose=False)['input_ids']
    cut = sum(len(ids) > length for ids in full)
    if cut:
        print_log(f'{cut} prompts are longer than {length} tokens and were cut', 'current',
                  logging.WARNING)
    return tokens.input_ids


def word_tokenizer(words: Sequence[str], max_length: int = 77):
    """Build a CLIP byte-pair tokenizer in which each word is one token.

    Text outside ``words`` is still accepted: it falls apart into bytes.

    Args:
        words: Lower-case words of letters, of any script, or of one digit.
        max_length: Longest prompt in tokens, both ends included.

    Returns:
        transformers.CLIPTokenizer: pads with the end token, as SD v1 does.
    """
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode
    letter_of = bytes_to_unicode()
    letters = list(letter_of.values())
    tokens = letters + [letter + '</w>' for letter in letters]
    merges = []
    for word in sorted(set(words)):
        pieces = [letter_of[byte] for byte in word.encode()]
        pieces[-1] += '</w>'
        while len(pieces) > 1:
            pair = (pieces[-2], pieces[-1])
            if pair not in merges:
                merges.append(pair)
                tokens.append(''.join(pair))
            pieces[-2:] = [''.join(pair)]
    vocab = {token: i for i, token in enumerate(tokens + [START, END])}
    with tempfile.TemporaryDirectory() as folder:
        with open(osp.join(folder, 'vocab.json'), 'w', encoding='utf-8') as f:
            json.dump(vocab, f, ensure_ascii=False)
        with open(osp.join(folder, 'merges.txt'), 'w', encoding='utf-8') as f:
            f.write('#version: 0.2\n' + ''.join(f'{a} {b}\n' for a, b in merges))
        with open(osp.join(folder, 'tokenizer_config.json'), 'w', encoding='utf-8') as f:
            json.dump(dict(tokenizer_class='CLIPTokenizer', model_max_length=max_length,
                           bos_token=START, eos_token=END, unk_token=END, pad_token=END), f)
        assert sorted(os.listdir(folder)) == [
            'merges.txt', 'tokenizer_config.json', 'vocab.json']
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    if len(tokenizer) != len(vocab):
        raise RuntimeError(
            f'the tokenizer has {len(tokenizer)} tokens where {len(vocab)} were asked for')
    return tokenizer
