"""Drawn pictures of cats and other things, made up from random numbers."""
