"""Files that run a command where they are unpickled without care."""
import os
import pickle

import pytest
import torch

from mmdd.utils.cli import one_line
from mmdd.utils.plain_types import UnsafeFileError


class Command:
    """Unpickled, it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}', )


class Hostile:
    """Makes hostile files in a folder and tells whether one of them ran."""

    def __init__(self, folder):
        self.folder, self.marker = folder, folder / 'ran'

    def command(self):
        """What makes the marker file."""
        return Command(self.marker)

    def checkpoint(self, name='hostile.pth', **content):
        """A checkpoint whose weights are fine and whose meta is not; returns its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(dict(state_dict=dict(weight=torch.zeros(1)),
                             meta=dict(epoch=0, iter=1, note=self.command())), **content), path)
        return str(path)

    def pickle(self, name='hostile.pkl'):
        """A plain pickle; returns its path."""
        path = self.folder / name
        path.write_bytes(pickle.dumps(dict(data=self.command())))
        return str(path)

    def check_refused(self, path, call, *args, **kwargs):
        """Assert that a call is refused in a line that names file and type, and nothing ran."""
        with pytest.raises((UnsafeFileError, SystemExit)) as caught:
            call(*args, **kwargs)
        text = one_line(caught.value)
        assert path in text and 'posix.system' in text, text
        assert '\n' not in str(caught.value) and not self.marker.exists()
        return text
