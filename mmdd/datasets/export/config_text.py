"""A config as text: read without running it, shown without the folders of a machine."""
import ast
import posixpath
import re
from typing import Any, Dict

# An absolute path as a whole string literal.
_ABSOLUTE = re.compile(r"""(['"])(/(?:(?!\1)[^\n\\])+)\1""")
# The name of an experiment is its work dir; a server's address is nobody else's business.
_NAME = re.compile(r'^experiment_name = .*\n?', re.M)
_SERVER = re.compile(r"""\b(base_url=)(['"]).*?\2""")


def read_config(text: str) -> Dict[str, Any]:
    """The fields of a config that MMEngine has printed; empty where it cannot be read.

    The text is parsed, never run. A value that is no plain one stays as it is written.

    Args:
        text: Assignments of literals and ``dict(...)``.
    """
    try:
        return {node.targets[0].id: _value(node.value) for node in ast.parse(text).body
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        return {}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return {item.arg: _value(item.value) for item in node.keywords}
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values) if key}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)


def public_config(text: str) -> str:
    """A config without what belongs to the machine: folders above its files, servers.

    Args:
        text: The config; an absolute path in it is a string literal of its own.
    """
    text = _SERVER.sub(r'\1\2...\2', _NAME.sub('', text))
    return _ABSOLUTE.sub(lambda found: found[1] + public_path(found[2]) + found[1], text)


def public_path(path: str) -> str:
    """A relative path or a name of the Hub as it is, of an absolute path the last part."""
    return f'.../{posixpath.basename(path.rstrip("/"))}' if path.startswith('/') else path
