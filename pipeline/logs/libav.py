"""Warnings of libav (decoders, demuxers, encoders) on standard error, where the log of the run picks them up."""

from __future__ import annotations

import av.logging


def show_libav_warnings() -> None:
    """Lets libav write warnings and errors to standard error by itself.

    PyAV is silent by default, and its bridge to `logging` takes the interpreter lock in the decoder threads. The
    callback of libav itself does not.
    """
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.WARNING)
