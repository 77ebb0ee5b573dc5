"""Keeping a key out of what an endpoint says."""
import re

# Shorter values, such as EMPTY of a local server, are words and not secrets.
SHORTEST_SECRET = 8


def redact(text: str, key: str) -> str:
    """Replace a key in a text by '***'.

    A key is found in any case and with blanks or marks between its letters, for these are
    removed when an answer becomes a prompt. One of fewer than 8 characters counts only as a
    word of its own.

    Args:
        text: What the endpoint said.
        key: The key; '' for none.
    """
    if len(key) < SHORTEST_SECRET:
        return re.sub(rf'(?<!\w){re.escape(key)}(?!\w)', '***', text) if key else text
    letters = re.findall(r'[^\W_]', key) or list(key)
    return re.sub(r'[\W_]*'.join(map(re.escape, letters)), '***', text, flags=re.I)
