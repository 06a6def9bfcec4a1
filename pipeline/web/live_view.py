"""`--show`: a window if there is a display and an OpenCV built with GUI support, else the live page."""

from __future__ import annotations

import os
from typing import Protocol

import cv2

from pipeline.config.schema import LiveConfig
from pipeline.transport.planes import Planes
from pipeline.video.convert import square_pixels
from pipeline.web.live_page import LivePage, to_bgr


class LiveView(Protocol):
    """Shows annotated frames while a run is in progress.

    Attributes:
        address: where the user finds it: the page's URL, or the window's title.
        sample_aspect: width and height of a displayed pixel relative to each other.
    """

    address: str
    sample_aspect: tuple[int, int]

    @property
    def watched(self) -> bool:
        """Whether anybody is watching."""

    def show(self, planes: Planes) -> None:
        """Offers the next annotated frame; the planes may be overwritten afterwards.

        Args:
            planes: The frame.
        """

    def close(self) -> None:
        """Ends the view."""


class LiveWindow:
    """An OpenCV window, updated from the sink's loop. Closing it ends the view, not the run.

    Args:
        name: of the stream.
    """

    def __init__(self, name: str) -> None:
        self._name = f"{name} - Tallycam"
        self.address = f"a window, {self._name}"
        self.watched = True
        self.sample_aspect = (1, 1)
        cv2.namedWindow(self._name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, planes: Planes) -> None:
        """Shows a frame and handles the window's events; q and Escape close it.

        Args:
            planes: The frame.
        """
        if not self.watched:
            return
        cv2.imshow(self._name, square_pixels(to_bgr(planes), self.sample_aspect))
        key = cv2.waitKey(1) & 0xFF
        if key in (27, ord("q")) or cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) < 1:
            self.close()

    def close(self) -> None:
        """Closes the window."""
        if self.watched:
            self.watched = False
            cv2.destroyWindow(self._name)


def open_view(config: LiveConfig, name: str, index: int) -> LiveView:
    """Opens the view of one stream.

    Args:
        config: `output.live`.
        name: of the stream.
        index: of the stream; stream N listens on `config.port` + N.

    Raises:
        ConfigError: the page's port is in use.
    """
    if config.window and has_window():
        return LiveWindow(name)
    return LivePage(name, config.host, config.port + index if config.port else 0)


def has_window() -> bool:
    """Whether a window can be opened: there is a display, and OpenCV was built with GUI support."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    lines = cv2.getBuildInformation().splitlines()
    return any(line.strip().startswith("GUI:") and "NONE" not in line for line in lines)
