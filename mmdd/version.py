"""The version of mmdd."""
__version__ = '0.2.0'
