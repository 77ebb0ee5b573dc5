"""Servers that speak the chat-completions protocol on this machine, and a tiny model for one."""
import base64
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from mmengine.registry import DefaultScope
from PIL import Image

from mmdd.models import VLMPrompter
from mmdd.structures import RealAnnotation, encode_mask

KEY = 'sk-proj-0123456789abcdefSECRET'
WORDS = ('a an the cat dog owl table grass red blue big small on near left right of photo with '
         'sitting under sky').split()

CLASSES = ('cat', 'dog', 'owl', 'potted_plant')
COLOURS = [(200, 30, 40), (30, 200, 40), (40, 30, 200), (200, 200, 40), (40, 200, 200),
           (200, 40, 200)]


class MockServer:
    """A scripted endpoint in a thread, with a memory of what it was asked.

    Args:
        script: ``script(number, request)`` gives the reply to the request with that
            number, from 0: a text, a (status, body, headers) tuple, 'HANG' or 'DROP'.
            None echoes the mean colour of the image.
    """

    def __init__(self, script=None, port=0):
        self.script = script or (lambda number, request: echo(request))
        self.requests, self.busiest, self._busy = [], 0, 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                with server.lock:
                    server._busy += 1
                    server.busiest = max(server.busiest, server._busy)
                try:
                    server.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client gave up waiting
                finally:
                    with server.lock:
                        server._busy -= 1

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(('127.0.0.1', port), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f'http://127.0.0.1:{self.port}/v1'
        threading.Thread(target=self.http.serve_forever, args=(.02, ), daemon=True).start()

    def answer(self, handler):
        """Read, remember and answer one request."""
        body = json.loads(handler.rfile.read(int(handler.headers['Content-Length'])))
        request = read_request(handler.path, handler.headers.get('Authorization'), body)
        with self.lock:
            number = len(self.requests)
            self.requests.append(request)
        reply = self.script(number, request)
        if reply == 'HANG':
            self.closing.wait(10)
        if reply in ('HANG', 'DROP'):
            handler.close_connection = True
            return
        if isinstance(reply, str):
            reply = (200, completion(reply), {})
        status, content, headers = reply
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        headers = {'Content-Type': 'application/json', 'Content-Length': str(len(content)),
                   'retry-after-ms': '1', **headers}
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def asked(self):
        """(question, colour) of the requests so far."""
        return [(request['question'], request['colour']) for request in self.requests]

    def close(self):
        """Stop listening; a new connection is refused."""
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        if not self.closing.is_set():
            self.close()


def read_request(path, authorization, body):
    """What matters of a request; the image is decoded."""
    text, picture = body['messages'][0]['content']
    assert [text['type'], picture['type']] == ['text', 'image_url']
    head, data = picture['image_url']['url'].split(',')
    assert head == 'data:image/jpeg;base64'
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        assert image.format == 'JPEG'
        pixels = np.asarray(image.convert('RGB'))
    colour = tuple(int(c) for c in (pixels.mean((0, 1)) / 10).round() * 10)
    return dict(path=path, authorization=authorization, question=text['text'], colour=colour,
                size=pixels.shape[:2], detail=picture['image_url']['detail'],
                body={k: v for k, v in body.items() if k != 'messages'})


def echo(request):
    """An answer that tells which image was sent."""
    return 'coloured {} {} {}'.format(*request['colour'])


def completion(text, tokens=(90, 7)):
    """A chat completion as JSON."""
    return dict(
        id='1', object='chat.completion', created=1, model='mock',
        choices=[dict(index=0, finish_reason='stop',
                      message=dict(role='assistant', content=text))],
        usage=dict(prompt_tokens=tokens[0], completion_tokens=tokens[1],
                   total_tokens=sum(tokens)))


def failure(status, message='no', code=None):
    """An error as OpenAI words it."""
    return status, dict(error=dict(message=message, type='x', code=code)), {}


def free_port():
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def tiny_vlm(folder):
    """Save a LLaVA of thirty thousand random weights with its processor; return the folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )
    tokens = ['<unk>', '<s>', '</s>', '<pad>', '<image>'] + WORDS
    vocab = {token: i for i, token in enumerate(tokens)}
    words = Tokenizer(models.WordLevel(vocab, unk_token='<unk>'))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token='<unk>', bos_token='<s>', eos_token='</s>',
        pad_token='<pad>', additional_special_tokens=['<image>'])
    template = ("{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'image' %}"
                "<image>{% else %} {{ p['text'] }}{% endif %}{% endfor %}{% endfor %}")
    LlavaProcessor(
        CLIPImageProcessor(size=dict(shortest_edge=16), crop_size=dict(height=16, width=16)),
        tokenizer, patch_size=8, vision_feature_select_strategy='default',
        num_additional_image_tokens=1, chat_template=template).save_pretrained(folder)
    ids = dict(bos_token_id=1, eos_token_id=2, pad_token_id=3)
    model = LlavaForConditionalGeneration(LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            image_size=16, patch_size=8, projection_dim=16),
        text_config=LlamaConfig(
            vocab_size=len(vocab), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=512,
            tie_word_embeddings=False, **ids),
        image_token_id=4, vision_feature_layer=-1, **ids))
    random = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        if weight.ndim > 1:  # large enough for answers that differ with the image
            torch.nn.init.normal_(weight, std=.4, generator=random)
    model.lm_head.weight.data[:5] = 0  # words, hardly a special token
    model.save_pretrained(folder)
    return str(folder)


@contextlib.contextmanager
def transformers_serve(folder, port, log):
    """Run ``transformers serve`` for a local model; stopped hard, as a crash would.

    A torchvision whose operators do not load would break it: it is hidden from the server, which
    then reads images with Pillow.
    """
    code = ('import sys; sys.modules["torchvision"] = None; '
            'from transformers.cli.transformers import app; app()')
    with open(log, 'ab') as output:
        process = subprocess.Popen(
            [sys.executable, '-c', code, 'serve', folder, '--host', '127.0.0.1', '--port',
             str(port), '--device', 'cpu', '--default-seed', '0'],
            stdout=output, stderr=output,
            env=dict(os.environ, HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1', no_proxy='127.0.0.1'))
    try:
        wait_until_healthy(process, f'http://127.0.0.1:{port}/health', log)
        yield process
    finally:
        process.kill()
        process.wait(10)


def wait_until_healthy(process, url, log, seconds=90):
    """Wait until the server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError), opener.open(url, timeout=2):
            return
        time.sleep(.1)
    with open(log) as f:
        raise RuntimeError('transformers serve did not come up: ' + f.read()[-2000:])


def images(folder, num=3, kind='detection'):
    """Annotations of images of one colour each."""
    found = []
    for i, colour in enumerate(COLOURS[:num]):
        path = folder / f'{i}.png'
        if not path.is_file():
            Image.new('RGB', (80, 40), colour).save(path)
        labels, bboxes, mask = [i % 3], None, None
        if kind == 'detection':
            labels, bboxes = [0, 1], np.array([[0, 0, 80, 40], [i, 20, 8 + i, 40]], np.float32)
        if kind == 'segmentation':
            pixels = np.full((40, 80), 255, np.uint8)
            pixels[:, 60:], labels = 2, [2]
            mask = encode_mask(pixels)
        found.append(RealAnnotation(f'{i}', str(path), (40, 80), np.array(labels), bboxes, mask))
    return found


def prompter(url, backend=(), **settings):
    """A prompter that asks one question at a time and does not try again."""
    backend = dict(dict(type='OpenAIBackend', base_url=url, model='eye', max_retries=0,
                        timeout=20., concurrency=1), **dict(backend))
    # A Runner of another test in this process may have left its scope behind.
    with DefaultScope.overwrite_default_scope('mmdd'):
        return VLMPrompter(**dict(dict(backend=backend), **settings))


def leaks(folder):
    """Files below a folder that hold the key."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return [path for path in files if b'SECRET' in path.read_bytes()]
