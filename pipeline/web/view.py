"""`--show`: a window where there is a display and an OpenCV that can open one, else the live page."""

from __future__ import annotations

import os
from typing import Protocol

import cv2

from pipeline.config.schema import LiveConfig
from pipeline.transport.planes import Planes
from pipeline.web.live import LivePage, bgr_of


class View(Protocol):
    """Where annotated frames are looked at.

    Attributes:
        address: of the page, or what else to tell the user.
    """

    address: str

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""

    def show(self, planes: Planes) -> None:
        """The next annotated frame; it may be changed when this returns."""

    def close(self) -> None:
        """No more frames come."""


class Window:
    """A window of OpenCV. It lives in the loop of the sink, as its frames do. Closing it ends the view, not the run."""

    def __init__(self, name: str) -> None:
        self._name = f"{name} - Tallycam"
        self.address = f"a window, {self._name}"
        self.watched = True
        cv2.namedWindow(self._name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, planes: Planes) -> None:
        if not self.watched:
            return
        cv2.imshow(self._name, bgr_of(planes))
        key = cv2.waitKey(1) & 0xFF
        if key in (27, ord("q")) or cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) < 1:
            self.close()

    def close(self) -> None:
        if self.watched:
            self.watched = False
            cv2.destroyWindow(self._name)


def open_view(config: LiveConfig, name: str, index: int) -> View:
    """The view of stream `name`, which is the stream number `index`.

    Raises:
        ConfigError: the page's port is in use.
    """
    if config.window and has_window():
        return Window(name)
    return LivePage(name, config.host, config.port + index if config.port else 0)


def has_window() -> bool:
    """Whether a window can be opened: a display, and an OpenCV that was built with windows."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    lines = cv2.getBuildInformation().splitlines()
    return any(line.strip().startswith("GUI:") and "NONE" not in line for line in lines)
