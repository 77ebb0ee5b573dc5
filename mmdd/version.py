"""The version of mmdd."""
__version__ = '0.1.0'
