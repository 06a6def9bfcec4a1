"""The live page: one stream's annotated picture in a browser, as a row of JPEGs (multipart/x-mixed-replace).

It belongs to the sink's process, in a thread of its own. While nobody watches, a frame costs one comparison; while
somebody does, at most `MOST_FPS` frames a second are copied, and they are scaled and encoded in the page's thread.
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

MOST_FPS = 12.0
WIDTH = 1280
"""Wider pictures are scaled down for the page."""
QUALITY = 80
BOUNDARY = "frame"
AGAIN_S = 1.0
"""A viewer is looked after so often when no frames come."""
LOOPBACK = ("127.0.0.1", "localhost")
"""Who listens there is asked under no other name: a page from elsewhere cannot look in by a name of its own."""

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
        port: 0 is any free one.

    Raises:
        ConfigError: the port is in use, or the host is not one of this machine's.
    """

    def __init__(self, name: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self._name = name
        self._socket = _listening(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._socket.getsockname()[1]}/"
        """Where a browser finds it."""
        self._viewers = 0
        self._closed = False
        self._last_s = -1.0
        self._frame: tuple[int, Planes] | None = None
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._encoding = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._come: set[asyncio.Event] = set()
        routes = [
            Route("/", self._page),
            Route("/frame.jpg", self._one),
            Route("/stream.mjpg", self._stream),
        ]
        hosts = list(LOOPBACK) if host in LOOPBACK else ["*"]
        app = Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="live page", daemon=True)
        self._thread.start()

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return self._viewers > 0

    def show(self, planes: Planes, now_s: float | None = None) -> None:
        """The next annotated frame. Copied if somebody looks and it is time for one; else nothing happens."""
        if not self._viewers:
            return
        at_s = time.monotonic() if now_s is None else now_s
        if 0 <= at_s - self._last_s < 1 / MOST_FPS:
            return
        self._last_s = at_s
        number = self._frame[0] + 1 if self._frame else 1
        self._frame = (number, Planes(planes.y.copy(), planes.u.copy(), planes.v.copy()))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def close(self) -> None:
        """Ends all connections and the thread."""
        self._closed = True
        self._server.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)
        self._thread.join(3.0)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def _tell(self) -> None:
        for event in self._come:
            event.set()

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(PAGE.format(name=html.escape(self._name)))

    async def _one(self, request: Request) -> Response:
        """The next frame alone."""
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
        """Each new frame as JPEG, as fast as the viewer takes them; the newest one first if there is one."""
        self._loop = asyncio.get_running_loop()
        come, seen = asyncio.Event(), 0
        self._come.add(come)
        self._viewers += 1
        try:
            while not self._closed:
                if self._frame is None or self._frame[0] == seen:
                    come.clear()
                    try:
                        await asyncio.wait_for(come.wait(), AGAIN_S)
                    except TimeoutError:
                        continue
                if self._frame is not None and self._frame[0] != seen:
                    seen, jpeg = await run_in_threadpool(self._encoded)
                    yield jpeg
        finally:
            self._viewers -= 1
            self._come.discard(come)
            if not self._viewers:
                self._frame = None  # the next viewer sees no old picture

    def _encoded(self) -> tuple[int, bytes]:
        """The newest frame, encoded once however many look."""
        with self._encoding:
            frame = self._frame
            if frame is not None and frame[0] != self._jpeg[0]:
                self._jpeg = (frame[0], jpeg_of(frame[1]))
            return self._jpeg


def jpeg_of(planes: Planes, width: int = WIDTH) -> bytes:
    """A JPEG of a frame, at most `width` wide."""
    image = bgr_of(planes)
    if planes.width > width:
        size = (width, max(1, round(planes.height * width / planes.width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return bytes(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1])


def bgr_of(planes: Planes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 in the order that OpenCV has."""
    return np.asarray(cv2.cvtColor(planes.to_rgb(), cv2.COLOR_RGB2BGR), np.uint8)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, port))
            made.listen(16)
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"output.live: cannot listen on {host} port {port}: {error.strerror or error}; "
            "give another output.live.port, or 0 for any free one"
        ) from None
    return made
