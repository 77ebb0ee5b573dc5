"""Names of things as names of files."""


def slug(name: str) -> str:
    """A name as a file or folder: lower-case letters, digits, dots and dashes."""
    text = ''.join(c if c.isalnum() or c == '.' else '-' for c in name.lower())
    return '-'.join(part for part in text.split('-') if part).strip('.') or 'unnamed'
