"""Tallycam: counts unique objects, and objects crossing lines, in live video."""

__version__ = "0.1.0"
