"""The interface to vision-language models."""
import io
from dataclasses import dataclass
from typing import Any, Dict, Optional

from PIL import Image, ImageOps


class VLMError(ValueError):
    """A question that got no answer.

    Args:
        text: Who failed, how, and the fix; never a key.
        fatal: Whether asking on is pointless.
        busy: Whether the model is there and only overloaded.
    """

    def __init__(self, text: str, fatal: bool = False, busy: bool = False) -> None:
        super().__init__(text)
        self.fatal = fatal
        self.busy = busy


@dataclass
class Answer:
    """What a model said.

    Attributes:
        text: The words; may be empty.
        prompt_tokens: Tokens of image and question; 0 where nobody tells.
        completion_tokens: Tokens of the answer.
    """
    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class VLMBackend:
    """A vision-language model somewhere.

    Attributes:
        where: Name of model and place for messages.
        concurrency: How many questions it takes at a time.
    """
    where = ''
    concurrency = 1

    def settings(self) -> Dict[str, Any]:
        """What an answer depends on besides image and question."""
        raise NotImplementedError

    def check(self) -> None:
        """Check, cheaply, that questions can be answered.

        Raises:
            ValueError: If not.
        """
        raise NotImplementedError

    def load(self) -> None:
        """Get ready for :meth:`ask`."""

    def ask(self, path: str, question: str) -> Answer:
        """Answer a question about an image; safe to call in ``concurrency`` threads.

        Raises:
            VLMError: If there is no answer.
        """
        raise NotImplementedError

    def image_tokens(self) -> Optional[int]:
        """Estimated tokens of one image; None where nothing is paid for."""
        return None

    def release(self) -> None:
        """Free what :meth:`load` took."""


def read_image(path: str, size: int) -> Image.Image:
    """Read an image as upright RGB.

    Args:
        path: Image file.
        size: Longest side in pixels; larger images are scaled down.

    Raises:
        VLMError: If it cannot be read.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert('RGB')
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VLMError(f'{path} cannot be read as an image ({type(error).__name__}): fix or '
                       f'remove it', fatal=True) from None
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return image


def to_jpeg(image: Image.Image) -> bytes:
    """An image as JPEG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=90)
    return buffer.getvalue()
