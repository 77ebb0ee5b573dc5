"""A real vision-language model with tiny random weights, in this process and behind a server."""
import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from vlm_server import WORDS, free_port, tiny_vlm, transformers_serve

from mmdd.models import TransformersBackend, VLMPrompter
from mmdd.models.prompters.answer_cache import AnswerCache
from mmdd.structures import RealAnnotation

QUESTION = 'photo of {classes} on the table'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return tiny_vlm(tmp_path_factory.mktemp('vlm') / 'model')


@pytest.fixture(scope='module')
def annotations(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp('images'), []
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.png')
        found.append(RealAnnotation(f'{i}', str(folder / f'{i}.png'), (40, 60), np.array([i % 2])))
    return found


def local(weights, **settings):
    return dict(dict(type='TransformersBackend', model=weights, device='cpu', max_new_tokens=6),
                **settings)


def test_local_model(weights, annotations, tmp_path, monkeypatch):
    file = str(tmp_path / 'prompts.jsonl')
    prompter = VLMPrompter(local(weights), questions=QUESTION)
    made = prompter.prompts(annotations, ('cat', 'dog'), file)
    assert prompter.backend._model is None  # freed
    again = VLMPrompter(local(weights), questions=QUESTION).prompts(
        annotations[::-1], ('cat', 'dog'))
    assert again[::-1] == made and len(set(made)) > 3
    words = {word for prompt in made for word in prompt.replace(',', '').split()}
    assert words <= set(WORDS)
    # The same with transformers alone, word by word.
    from transformers import AutoModelForImageTextToText, AutoProcessor
    processor = AutoProcessor.from_pretrained(weights)
    model = AutoModelForImageTextToText.from_pretrained(weights).eval()
    entries = [json.loads(line) for line in open(tmp_path / 'vlm_cache.jsonl')]
    for annotation, entry in zip(annotations, entries):
        name = ('cat', 'dog')[annotation.labels[0]]
        inputs = processor(images=Image.open(annotation.path).convert('RGB'),
                           text=f'<image> photo of a {name} on the table', return_tensors='pt')
        tokens = inputs['input_ids']
        for _ in range(6):
            with torch.no_grad():
                logits = model(input_ids=tokens, pixel_values=inputs['pixel_values']).logits
            tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], 1)
            if tokens[0, -1] == 2:
                break
        start = inputs['input_ids'].shape[1]
        assert entry['answer'] == processor.decode(tokens[0, start:], skip_special_tokens=True)
        assert entry['prompt_tokens'] == start
        assert entry['completion_tokens'] == tokens.shape[1] - start
    # With all answers in the cache the model is not even looked for.
    monkeypatch.setattr(TransformersBackend, 'load', lambda self: 1 / 0)
    cached = VLMPrompter(local(weights), questions=QUESTION,
                         cache=str(tmp_path / 'vlm_cache.jsonl'))
    assert cached.prompts(annotations, ('cat', 'dog')) == made


def test_missing_and_wrong_weights(weights, tmp_path, monkeypatch):
    def check(model, message):
        with pytest.raises(ValueError, match=message) as caught:
            TransformersBackend(model).check()
        assert '\n' not in str(caught.value)

    def offline(*args, **kwargs):
        raise ConnectionError('no network')

    monkeypatch.setattr('huggingface_hub.HfApi.repo_info', offline)
    TransformersBackend(weights).check()
    check('./nowhere', 'no vision-language model at .*give backend.model a local folder')
    check('some/model', 'no vision-language model at .*the hub cannot be reached')
    check(str(tmp_path), 'has no config.json: give backend.model a complete folder')
    (tmp_path / 'config.json').write_text('{"model_type": "bert"}')
    check(str(tmp_path), 'has no model.safetensors')
    (tmp_path / 'model.safetensors').write_bytes(b'short')
    check(str(tmp_path), "is a model of type 'bert' that does not describe images")
    (tmp_path / 'config.json').write_text('{"model_type": "llava"')
    check(str(tmp_path), 'cannot be loaded as an image-text-to-text model')
    folder = tmp_path / 'damaged'
    shutil.copytree(weights, folder)
    os.truncate(folder / 'model.safetensors', 5000)
    with pytest.raises(ValueError, match='cannot be loaded as an image-text-to-text model'):
        TransformersBackend(str(folder), device='cpu').load()
    shutil.copy(f'{weights}/model.safetensors', folder / 'model.safetensors')
    os.unlink(folder / 'chat_template.jinja')
    with pytest.raises(ValueError, match='has no chat template'):
        TransformersBackend(str(folder), device='cpu').load()


def test_code_of_a_model_is_not_run(weights, tmp_path):
    """Neither that of its config nor that of its processor, and nobody is asked whether to."""
    for name, key in (('config.json', 'AutoConfig'), ('processor_config.json', 'AutoProcessor')):
        folder = tmp_path / key
        shutil.copytree(weights, folder)
        settings = json.loads((folder / name).read_text()) if (folder / name).is_file() else {}
        settings.update(auto_map={key: 'own.Own'}, model_type='own', processor_class='Own')
        (folder / name).write_text(json.dumps(settings))
        (folder / 'own.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")\nclass Own: pass\n')
        try:
            TransformersBackend(str(folder), device='cpu').load()
        except ValueError as error:
            assert 'cannot be loaded as an image-text-to-text model' in str(error)
            assert '\n' not in str(error)
        else:
            assert key == 'AutoProcessor'  # it has a stock one beside its own
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('settings, message', [
    (dict(dtype='int8'), "dtype must be 'auto'"), (dict(max_new_tokens=0), 'max_new_tokens >= 1'),
    (dict(image_size=3), 'image_size >= 16')])
def test_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        TransformersBackend('x', **settings)


@pytest.mark.slow
def test_transformers_serve(weights, annotations, tmp_path):
    """A real server that dies in the middle of a run, and comes back for the rest."""
    port, log, file = free_port(), tmp_path / 'serve.log', str(tmp_path / 'prompts.jsonl')
    backend = dict(type='OpenAIBackend', base_url=f'http://127.0.0.1:{port}/v1', model=weights,
                   api_key_env='', max_tokens=6, max_retries=0, concurrency=1)
    cache = str(tmp_path / 'answers.jsonl')
    prompter = VLMPrompter(backend, questions=QUESTION, max_failures=2, cache=cache)
    with pytest.raises(ValueError, match='cannot be reached: check base_url'):
        prompter.check()
    with transformers_serve(weights, port, log) as server:
        prompter.check()
        made = prompter.describe_all(annotations, ('cat', 'dog'))
        first = dict(next(made) for _ in range(2))
        server.kill()
        server.wait(10)
        with pytest.raises(ValueError, match='cannot be reached.*questions are open'):
            first.update(made)
    assert len(AnswerCache(cache).answers) == len(first) == 2
    with transformers_serve(weights, port, log):
        with pytest.raises(ValueError, match='at 127.0.0.1 fails with status 400'):
            VLMPrompter(dict(backend, model='other')).check()
        made = prompter.prompts(annotations, ('cat', 'dog'), file)
    assert {i: made[int(i)] for i in first} == first and len(set(made)) > 3
    entries = [json.loads(line) for line in open(cache)]
    assert len(entries) == len({entry['key'] for entry in entries}) == 6
    assert all(entry['prompt_tokens'] > 8 and entry['completion_tokens'] == 6
               for entry in entries)
    assert log.read_text().count('POST /v1/chat/completions HTTP/1.1" 200') == 1 + 6
