"""The command `tallycam`, which is also `python -m pipeline`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C, by the convention of shells: 128 and the number of the signal."""


def main() -> None:
    """Runs the command. Ctrl-C ends it without a traceback, also while modules are still being imported."""
    signal.signal(signal.SIGINT, _interrupted)
    try:
        from pipeline.cli.hidden_arguments import hide_passwords

        hide_passwords()  # before the slow imports
        from pipeline.cli.app import main as run_command

        run_command()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the interpreter shuts down


def _interrupted(_number: int, frame: FrameType | None) -> None:
    """Leaves the command. A run replaces this handler by its own, which stops the stages in order.

    A half-imported extension module may crash when the interpreter shuts down, and imports have nothing to clean up:
    there the process ends at once.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
