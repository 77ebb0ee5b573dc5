"""Reads distilled sets as they lie on disk."""
import json
import os
import os.path as osp

import pytest


def manifest(folder):
    """The manifest of a distilled set, which has no NaN or infinity in it."""
    with open(osp.join(folder, 'manifest.json'), encoding='utf-8') as f:
        return json.load(f, parse_constant=lambda name: pytest.fail(f'{name} is not JSON'))


def files(folder):
    """Bytes of the files of a distilled set by path, but for its manifest and its job."""
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = osp.relpath(osp.join(base, name), folder)
            if not path.startswith('_job') and path != 'manifest.json':
                with open(osp.join(folder, path), 'rb') as f:
                    found[path] = f.read()
    return found
