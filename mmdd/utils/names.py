"""Names of things in text and as names of files."""


def slug(name: str) -> str:
    """A name as a file or folder: lower-case letters, digits, dots and dashes."""
    text = ''.join(c if c.isalnum() or c == '.' else '-' for c in name.lower())
    return '-'.join(part for part in text.split('-') if part).strip('.') or 'unnamed'


def with_article(name: str) -> str:
    """A name after its indefinite article: 'a cat', 'an owl'."""
    return f'{"an" if name[:1].lower() in "aeiou" else "a"} {name}'
