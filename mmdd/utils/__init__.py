"""Helpers without a home elsewhere."""
