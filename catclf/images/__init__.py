"""Disk → uint8 pixels. Has never heard of features or weights."""
