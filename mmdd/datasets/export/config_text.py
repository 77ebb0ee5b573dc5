"""A config as text: read without running it, shown without the folders of a machine."""
import ast
import posixpath
import re
from typing import Any, Dict

# An absolute path as a whole string literal.
_ABSOLUTE = re.compile(r"""(['"])(/(?:(?!\1)[^\n\\])+)\1""")


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


def without_folders(text: str) -> str:
    """Text in which every absolute path, as a string literal, is its last part alone."""
    return _ABSOLUTE.sub(lambda found: f'{found[1]}.../{posixpath.basename(found[2].rstrip("/"))}'
                                       f'{found[1]}', text)
