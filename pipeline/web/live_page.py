"""The live page: one stream's annotated picture in a browser, as Motion JPEG (multipart/x-mixed-replace).

It runs in the sink's process, in a thread of its own. Without viewers a frame costs one comparison; with viewers at
most `MAX_FPS` frames per second are copied, and scaled and encoded in the page's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import socket
import threading
import time
from collections.abc import AsyncGenerator

import cv2
import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from pipeline.errors import ConfigError
from pipeline.transport.planes import Planes
from pipeline.video.convert import square_pixels

MAX_FPS = 12.0
WIDTH = 1280
"""Pixels; wider pictures are scaled down."""
QUALITY = 80
BOUNDARY = "frame"
POLL_S = 1.0
"""How often a connection without new frames checks whether the page was closed."""
LOOPBACK = ("127.0.0.1", "localhost")
"""A page on these addresses accepts no other `Host` header, which stops DNS rebinding: a foreign web site cannot reach
it under a name of its own."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name} · Tallycam</title>
<style>
  html, body {{ margin: 0; height: 100%; background: #101216; color: #b8c2cc; font: 14px system-ui, sans-serif; }}
  body {{ display: grid; grid-template-rows: auto 1fr; }}
  h1 {{ margin: 0; padding: 10px 16px; font-size: 15px; font-weight: 600; color: #fff; }}
  img {{ width: 100%; height: 100%; object-fit: contain; min-height: 0; }}
  main {{ min-height: 0; }}
</style>
<h1>{name}</h1>
<main><img src="stream.mjpg" alt="annotated picture of {name}"></main>
</html>
"""


class LivePage:
    """Serves the newest annotated frame of one stream until it is closed.

    Args:
        name: of the stream.
        host: address to listen on.
        port: to listen on; 0 picks a free one.

    Raises:
        ConfigError: the port is in use, or the host is not an address of this machine.
    """

    def __init__(self, name: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self._name = name
        self._socket = _listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._socket.getsockname()[1]}/"
        """URL of the page."""
        self._viewers = 0
        self._closed = False
        self._last_s = -1.0
        self._frame: tuple[int, Planes] | None = None
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._encoding = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._new_frame: set[asyncio.Event] = set()
        routes = [
            Route("/", self._page),
            Route("/frame.jpg", self._single_frame),
            Route("/stream.mjpg", self._stream),
        ]
        hosts = list(LOOPBACK) if host in LOOPBACK else ["*"]
        app = Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        self.sample_aspect = (1, 1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="live page", daemon=True)
        self._thread.start()

    @property
    def watched(self) -> bool:
        """Whether the page has viewers."""
        return self._viewers > 0

    def show(self, planes: Planes, now_s: float | None = None) -> None:
        """Offers the next annotated frame. It is copied if there are viewers and the last one is old enough.

        Args:
            planes: of the frame.
            now_s: monotonic clock, for tests.
        """
        if not self._viewers:
            return
        at_s = time.monotonic() if now_s is None else now_s
        if 0 <= at_s - self._last_s < 1 / MAX_FPS:
            return
        self._last_s = at_s
        number = self._frame[0] + 1 if self._frame else 1
        self._frame = (number, Planes(planes.y.copy(), planes.u.copy(), planes.v.copy()))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._notify)

    def close(self) -> None:
        """Closes all connections and ends the thread."""
        self._closed = True
        self._server.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._notify)
        self._thread.join(3.0)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def _notify(self) -> None:
        for event in self._new_frame:
            event.set()

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(PAGE.format(name=html.escape(self._name)))

    async def _single_frame(self, request: Request) -> Response:
        async with contextlib.aclosing(self._frames()) as frames:
            async for jpeg in frames:
                return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})
        return Response(status_code=503)

    async def _stream(self, request: Request) -> Response:
        async def parts() -> AsyncGenerator[bytes, None]:
            async with contextlib.aclosing(self._frames()) as frames:
                async for jpeg in frames:
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    yield head.encode() + jpeg + b"\r\n"

        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return StreamingResponse(parts(), media_type=kind, headers={"Cache-Control": "no-store"})

    async def _frames(self) -> AsyncGenerator[bytes, None]:
        """Yields each new frame as JPEG, as fast as the viewer takes them, starting with the newest one there is."""
        self._loop = asyncio.get_running_loop()
        new_frame, seen = asyncio.Event(), 0
        self._new_frame.add(new_frame)
        self._viewers += 1
        try:
            while not self._closed:
                if self._frame is None or self._frame[0] == seen:
                    new_frame.clear()
                    try:
                        await asyncio.wait_for(new_frame.wait(), POLL_S)
                    except TimeoutError:
                        continue
                if self._frame is not None and self._frame[0] != seen:
                    seen, jpeg = await run_in_threadpool(self._encode)
                    yield jpeg
        finally:
            self._viewers -= 1
            self._new_frame.discard(new_frame)
            if not self._viewers:
                self._frame = None  # the next viewer must not see an outdated picture

    def _encode(self) -> tuple[int, bytes]:
        """Number and JPEG of the newest frame, which is encoded once for all viewers."""
        with self._encoding:
            frame = self._frame
            if frame is not None and frame[0] != self._jpeg[0]:
                self._jpeg = (frame[0], encode_jpeg(frame[1], sample_aspect=self.sample_aspect))
            return self._jpeg


def encode_jpeg(planes: Planes, width: int = WIDTH, sample_aspect: tuple[int, int] = (1, 1)) -> bytes:
    """Encodes a frame as JPEG.

    Args:
        planes: The frame.
        width: Greatest width in pixels; a wider frame is scaled down.
        sample_aspect: Width and height of a displayed pixel relative to each other.
    """
    image = square_pixels(to_bgr(planes), sample_aspect)
    if image.shape[1] > width:
        size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return bytes(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1])


def to_bgr(planes: Planes) -> NDArray[np.uint8]:
    """A frame in OpenCV's channel order.

    Args:
        planes: The frame.

    Returns:
        (H, W, 3) uint8.
    """
    return np.asarray(cv2.cvtColor(planes.to_rgb(), cv2.COLOR_RGB2BGR), np.uint8)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(16)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"output.live: cannot listen on {host} port {port}: {error.strerror or error}; "
            "set another output.live.port, or 0 for any free one"
        ) from None
    return listening
