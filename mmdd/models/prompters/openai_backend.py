"""Vision-language models behind an OpenAI-compatible endpoint."""
import base64
import os
import re
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from mmengine.logging import print_log
from PIL import Image

from mmdd.registry import TASK_UTILS
from .redaction import redact
from .vlm_backend import Answer, VLMBackend, VLMError, read_image, to_jpeg

LOOPBACK = ('localhost', '127.0.0.1', '::1')


@TASK_UTILS.register_module()
class OpenAIBackend(VLMBackend):
    """Asks a chat-completions endpoint through the ``openai`` client.

    UniDD asks GPT-4o (section 3.2). vLLM, Ollama, llama.cpp, ``transformers serve``
    and most gateways answer the same requests.

    The key comes from an environment variable and from nowhere else: configs end
    up in logs and in the manifest. It is never written or shown.

    Args:
        base_url: Root of the API, with its ``/v1``.
        model: Name of the model there.
        api_key_env: Name of the environment variable that holds the key; '' for an
            endpoint without one.
        max_retries: How often the client repeats a request after 408, 409, 429,
            5xx, a timeout or a broken connection, waiting longer each time.
        timeout: Seconds that one try may take.
        concurrency: Requests at a time.
        temperature: 0 for the most reproducible answers; None leaves it to the
            model.
        max_tokens: Longest answer in tokens; None leaves it to the model.
        image_size: Longest side in pixels of the JPEG that is sent.
        detail: 'low', 'high' or 'auto', how closely the image is looked at and
            how much it costs.
        extra_body: More fields of the request, such as
            ``dict(max_completion_tokens=300)``; None for none.
        api_key: Refused.

    Raises:
        ValueError: If a setting is out of range, or could tell a key.
    """

    runtime_settings = ('base_url', 'api_key_env', 'max_retries', 'timeout', 'concurrency')
    limits = dict(max_retries=dict(low=0), timeout=dict(above=0), concurrency=dict(low=1),
                  temperature=dict(low=0), max_tokens=dict(low=1), image_size=dict(low=16),
                  detail=('low', 'high', 'auto'))

    def __init__(self,
                 base_url: str = 'https://api.openai.com/v1',
                 model: str = 'gpt-4o',
                 api_key_env: str = 'OPENAI_API_KEY',
                 max_retries: int = 5,
                 timeout: float = 120.,
                 concurrency: int = 8,
                 temperature: Optional[float] = 0.,
                 max_tokens: Optional[int] = 200,
                 image_size: int = 512,
                 detail: str = 'low',
                 extra_body: Optional[dict] = None,
                 api_key: Optional[str] = None) -> None:
        if api_key is not None:
            raise ValueError('a key must not stand in a config, which is logged and stored: put '
                             'it into the environment variable named by api_key_env')
        self.host = check_url(base_url)
        if not re.fullmatch(r'[A-Z_][A-Z0-9_]*|', api_key_env):
            raise ValueError("api_key_env is the upper-case NAME of an environment variable, such "
                             "as 'OPENAI_API_KEY', or '' for none; what it is set to is no name")
        if concurrency < 1 or max_retries < 0 or timeout <= 0 or image_size < 16:
            raise ValueError(f'concurrency >= 1, max_retries >= 0, timeout > 0 and image_size >= '
                             f'16 are needed, got {concurrency}, {max_retries}, {timeout} and '
                             f'{image_size}')
        if detail not in ('low', 'high', 'auto'):
            raise ValueError(f"detail must be 'low', 'high' or 'auto', got {detail!r}")
        self.base_url = base_url
        self.model = model
        self.api_key_env = api_key_env
        self.max_retries = max_retries
        self.timeout = timeout
        self.concurrency = concurrency
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.image_size = image_size
        self.detail = detail
        self.extra_body = dict(extra_body or {})
        self.where = f'{model} at {self.host}'
        self._client: Any = None
        key = os.environ.get(api_key_env)
        if key and any(key in str(value) for value in (base_url, model, self.extra_body)):
            raise ValueError(f'base_url, model or extra_body holds the key of {api_key_env}: take '
                             f'it out, configs are logged and stored')

    def settings(self) -> Dict[str, Any]:
        """Model, decoding and image settings; the endpoint may change."""
        return dict(model=self.model, temperature=self.temperature, max_tokens=self.max_tokens,
                    image_size=self.image_size, detail=self.detail, extra_body=self.extra_body)

    def image_tokens(self) -> int:
        """Tokens of one image by the rule of GPT-4o: 85, and 170 per 512-pixel tile."""
        if self.detail == 'low':
            return 85
        tiles = -(-min(self.image_size, 768) // 512) * -(-min(self.image_size, 2048) // 512)
        return 85 + 170 * tiles

    def load(self) -> None:
        """Make the client.

        Raises:
            ValueError: If the ``openai`` package or the key is missing.
        """
        if self._client is not None:
            return
        try:
            import openai
        except ModuleNotFoundError:
            raise ValueError('OpenAIBackend needs the openai package: pip install openai'
                             ) from None
        # A proxy of the environment cannot reach this machine's own addresses.
        http = openai.DefaultHttpxClient(trust_env=False) if self.host in LOOPBACK else None
        self._client = openai.OpenAI(
            api_key=self._key() or 'none', base_url=self.base_url, timeout=self.timeout,
            max_retries=self.max_retries, http_client=http)

    def release(self) -> None:
        """Close the client and forget the key."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _key(self) -> str:
        if not self.api_key_env:
            return ''
        key = os.environ.get(self.api_key_env, '').strip()
        if not key:
            raise ValueError(f'{self.where} needs a key: set the environment variable '
                             f"{self.api_key_env}, or api_key_env='' for an endpoint without one")
        if not re.fullmatch(r'[!-~]+', key):
            raise ValueError(f'{self.api_key_env} is no key: it has blanks or characters outside '
                             f'ASCII')
        return key

    def check(self) -> None:
        """Ask one question of a few tokens about a grey image of 64 pixels.

        Raises:
            ValueError: If key, endpoint or model do not work.
        """
        self.load()
        print_log(f'{self.where}: one trial question', 'current')
        try:
            self._request(to_jpeg(Image.new('RGB', (64, 64), (128, 128, 128))),
                          'Which colour is this?', min(self.max_tokens or 16, 16),
                          min(self.max_retries, 2))
        except VLMError as error:
            if not error.busy:
                raise
            print_log(f'{error}', 'current', level=30)
        finally:
            self.release()

    def ask(self, path: str, question: str) -> Answer:
        """Send the image as a JPEG in a data URL, and the question.

        Raises:
            VLMError: If there is no answer after all retries.
        """
        image = to_jpeg(read_image(path, self.image_size))
        return self._request(image, question, self.max_tokens, self.max_retries)

    def _request(self, jpeg: bytes, question: str, max_tokens: Optional[int],
                 max_retries: int) -> Answer:
        import openai
        url = 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode()
        body = dict(temperature=self.temperature, max_tokens=max_tokens)
        body = {name: value for name, value in body.items() if value is not None}
        content = [dict(type='text', text=question),
                   dict(type='image_url', image_url=dict(url=url, detail=self.detail))]
        try:
            reply = self._client.with_options(max_retries=max_retries).chat.completions.create(
                model=self.model, messages=[dict(role='user', content=content)],
                extra_body=self.extra_body or None, **body)
        # ValueError: a reply that is no JSON, or no UTF-8.
        except (openai.OpenAIError, ValueError) as error:
            raise self._explain(error) from None
        return self._read(reply)

    def _read(self, reply: Any) -> Answer:
        """The answer of a reply, whose fields the client does not check."""
        try:
            text = reply.choices[0].message.content or ''
            if not isinstance(text, str):
                raise TypeError
        except (AttributeError, IndexError, TypeError):
            raise VLMError(f'{self.where} answers with no chat completion: is base_url the root '
                           f'of an OpenAI-compatible API, with its /v1?') from None
        tokens = [getattr(getattr(reply, 'usage', None), name, None)
                  for name in ('prompt_tokens', 'completion_tokens')]
        return Answer(self._redact(text), *(n if isinstance(n, int) else 0 for n in tokens))

    def _explain(self, error: Exception) -> VLMError:
        """One line on what went wrong, without any text that could hold the key."""
        import openai
        status = getattr(error, 'status_code', None)
        if isinstance(error, openai.APITimeoutError):
            return VLMError(f'{self.where} does not answer within {self.timeout:g} s: raise '
                            f'backend.timeout or lower backend.concurrency')
        if isinstance(error, openai.APIConnectionError):
            return VLMError(f'{self.where} cannot be reached: check base_url, the network, and '
                            f'that the server runs')
        if status in (401, 403):
            name = self.api_key_env or 'api_key_env, which is empty'
            return VLMError(f'{self.where} refuses the key of {name} ({status}): set a valid one '
                            f'that may use this model', fatal=True)
        if status == 404:
            return VLMError(f'{self.where}: there is no such model or no chat completions under '
                            f'base_url (404): fix backend.model or backend.base_url', fatal=True)
        if status == 429 and getattr(error, 'code', None) == 'insufficient_quota':
            return VLMError(f'{self.where}: the quota is used up (429): raise it', fatal=True)
        if status == 429:
            return VLMError(f'{self.where} limits the rate (429): lower backend.concurrency or '
                            f'raise backend.max_retries', busy=True)
        if status is not None:
            return VLMError(f'{self.where} fails with status {status}{self._quote(error)}')
        return VLMError(f'{self.where} answers with no JSON: is base_url the root of an '
                        f'OpenAI-compatible API, with its /v1?')

    def _quote(self, error: Exception) -> str:
        """What the server says about an error, short and without the key."""
        text = ' '.join(str(getattr(error, 'message', '')).split())
        text = re.sub(r'^Error code: \d+( - )?', '', text)
        text = re.sub(r'data:image\S*', 'data:image...', text)
        return f' ({self._redact(text)[:160]})' if text else ''

    def _redact(self, text: str) -> str:
        """A text of the server without the key."""
        return redact(text, os.environ.get(self.api_key_env, '').strip())


def check_url(base_url: str) -> str:
    """Check the root of an API.

    Returns:
        str: Its host, without anything that could be a key.

    Raises:
        ValueError: If it is no plain http(s) address.
    """
    try:
        parts = urlsplit(base_url)
        plain = (parts.scheme in ('http', 'https') and parts.hostname
                 and parts.username is None and not parts.query and not parts.fragment)
        parts.port  # noqa: B018  raises ValueError
    except (ValueError, AttributeError):
        plain = False
    if not plain:
        raise ValueError("base_url must be an address such as 'https://api.openai.com/v1' or "
                         "'http://127.0.0.1:8000/v1', without user, password, query or fragment")
    return str(parts.hostname)
