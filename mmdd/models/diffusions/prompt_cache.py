"""What text encoders make of prompts, kept for when the prompts come again."""
from collections import OrderedDict
from typing import Callable, List, Sequence, Tuple

from torch import Tensor

Encoded = Tuple[Tensor, ...]


class PromptCache:
    """The encoded prompts that were used last.

    Args:
        size: Most prompts that are kept.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[str, Encoded] = OrderedDict()

    def look_up(self, prompts: Sequence[str],
                encode: Callable[[List[str]], List[Encoded]]) -> List[Encoded]:
        """What is known of each prompt.

        Args:
            prompts: Prompts, possibly several times the same.
            encode: Makes it of those that are not kept; not called if there are none.
        """
        found = {prompt: self._kept.pop(prompt) for prompt in dict.fromkeys(prompts)
                 if prompt in self._kept}
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in found]
        if missing:
            found.update(zip(missing, encode(missing)))
        self._kept.update(found)
        while len(self._kept) > self.size:
            self._kept.popitem(last=False)
        return [found[prompt] for prompt in prompts]
