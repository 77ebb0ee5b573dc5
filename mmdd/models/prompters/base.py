"""The interface of prompters, and their jsonl cache."""
import json
import os.path as osp
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from mmengine.utils import is_list_of

from mmdd.datasets.class_names import spoken_names
from mmdd.structures import Layout
from mmdd.utils.io import atomic_write_text


class BasePrompter:
    """Turns a layout, the labels of a real image or of several, into the text of a slot.

    A subclass writes :meth:`describe`, or :meth:`describe_all` where images are
    better handled together. Its constructor is light: what is large is loaded
    when the first prompt is asked for. Prompts are kept in a jsonl file, one
    ``{"image": ..., "prompt": ...}`` a line. A line that is already there wins,
    so prompts can be edited by hand before images are made.
    """

    # Whether the file of the real image is read, which a composed layout does not have.
    reads_images = False

    @classmethod
    def check_classes(cls, cfg: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Check that the classes of the real set have names to be spoken of.

        Args:
            cfg: Config of this prompter.
            classes: Class names by label index.

        Raises:
            ValueError: If not.
        """
        spoken_names(classes)

    def check(self) -> None:
        """Check what prompts need, before anything else of the job is done.

        Raises:
            ValueError: If prompts could not be made.
        """

    def keep_in(self, folder: str) -> None:
        """Where to keep what outlives the distilled set, unless the settings say so.

        Args:
            folder: Work dir of the job.
        """

    def describe(self, annotation: Layout, classes: Sequence[str]) -> str:
        """Return the prompt for one layout."""
        raise NotImplementedError

    def describe_all(self, annotations: Sequence[Layout],
                     classes: Sequence[str]) -> Iterator[Tuple[str, str]]:
        """Yield (image id, prompt) as prompts get ready, in any order.

        Args:
            annotations: Layouts with different ids.
            classes: Class names by index.
        """
        for annotation in annotations:
            yield annotation.image_id, self.describe(annotation, classes)

    def prompts(self, annotations: Sequence[Layout], classes: Sequence[str],
                cache: str = '') -> List[str]:
        """Return one prompt per annotation.

        Args:
            annotations: Layouts, any number, repeats allowed.
            classes: Class names by index.
            cache: jsonl file to read prompts from and to complete, also with those
                that are ready when another one fails; '' for none.

        Raises:
            ValueError: If a line of ``cache`` is not as described above, or ``describe`` returns
                no text.
        """
        known = read_prompts(cache) if cache and osp.isfile(cache) else {}
        missing = {a.image_id: a for a in annotations if a.image_id not in known}
        before = len(known)
        try:
            for image_id, prompt in self.describe_all(list(missing.values()), classes):
                if not isinstance(prompt, str):
                    raise ValueError(f'{type(self).__name__}.describe must return the prompt, a '
                                     f'text, got {prompt!r}')
                known[image_id] = prompt
        finally:
            if cache and len(known) > before:
                write_prompts(cache, known)
        return [known[a.image_id] for a in annotations]


def read_prompts(path: str) -> Dict[str, str]:
    """Read a prompt file: image id to prompt.

    Raises:
        ValueError: If it is no text file, or a line is not a JSON object with both texts.
    """
    try:
        with open(path, encoding='utf-8') as f:
            lines = f.readlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: cannot be read as a prompt file ({error}); it needs one JSON '
                         f'object per line, in UTF-8') from None
    prompts = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            pair = [entry['image'], entry['prompt']]
        except (ValueError, KeyError, TypeError):
            pair = None
        if pair is None or not is_list_of(pair, str):
            raise ValueError(
                f'{path}:{number}: expected {{"image": "...", "prompt": "..."}}, '
                f'got {line.strip()[:80]!r}; correct or remove the line, or the file to have its '
                f'prompts made again')
        prompts[pair[0]] = pair[1]
    return prompts


def write_prompts(path: str, prompts: Dict[str, str]) -> None:
    """Write a prompt file, one JSON object a line, sorted by image id."""
    lines = [json.dumps(dict(image=image, prompt=prompts[image]), ensure_ascii=False)
             for image in sorted(prompts)]
    atomic_write_text(path, '\n'.join(lines) + '\n')
