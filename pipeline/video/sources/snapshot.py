"""A camera that serves single pictures: an HTTP address of a JPEG that is polled."""

from __future__ import annotations

import base64
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SourceError
from pipeline.video.sources.image_folder import image_frame
from pipeline.video.sources.source import BaseSource, SourceFrame, SourceInfo, SourceRequest

log = logging.getLogger(__name__)

DEFAULT_FPS = 1.0
MOST_BYTES = 64 << 20


class SnapshotSource(BaseSource):
    """Polls a picture `fps` times a second, once by default. A picture that is the same as before is no new frame.

    Args:
        request: `target` is the URL.

    Raises:
        SourceError: it does not answer with a picture; one line without the password.
    """

    def __init__(self, request: SourceRequest) -> None:
        super().__init__(request)
        self._period_s = 1 / (request.config.fps or DEFAULT_FPS)
        self._opener, self._url, self._basic = _opener(request.target)
        self._headers: dict[str, str] = {}
        self._last = b""
        image = self._fetch()
        assert image is not None
        self._first: NDArray[np.uint8] | None = image
        self.info = SourceInfo(
            kind=request.kind,
            live=True,
            width=image.shape[1],
            height=image.shape[0],
            fps=1 / self._period_s,
            duration_s=request.config.stop_s,
        )

    def frames(self) -> Iterator[SourceFrame]:
        """Yields each new picture; see `Source.frames`."""
        began_s = due_s = time.monotonic()
        index = 0
        while not self.ended:
            image, self._first = self._first, None
            if image is None:
                due_s = max(due_s + self._period_s, time.monotonic())
                self.wait_until(due_s)
                image = None if self.ended else self._try_to_fetch()
            pts_s = time.monotonic() - began_s
            if self.config.stop_s is not None and pts_s >= self.config.stop_s:
                return
            if image is not None:
                yield image_frame(image, self.info, self.stats, index, pts_s, self.stats.reconnects)
                index += 1

    def _try_to_fetch(self) -> NDArray[np.uint8] | None:
        try:
            image = self._fetch()
        except SourceError as error:
            self.stats.last_error = self.stats.lost_why = str(error)
            if not self.stats.lost_s:
                self.stats.lost_s = time.time()
                log.warning("source lost: %s", error)
            return None
        if self.stats.lost_s:
            log.warning("source back after %.1f s", time.time() - self.stats.lost_s)
            self.stats.lost_s, self.stats.lost_why = 0.0, ""
            self.stats.reconnects += 1
        return image

    def _fetch(self) -> NDArray[np.uint8] | None:
        """The picture, (H, W, 3) uint8 RGB; None if it is the same as before."""
        try:
            with self._ask() as answer:
                data = answer.read(MOST_BYTES)
        except urllib.error.HTTPError as error:
            error.close()
            why = "the server rejected the user name or password" if error.code == 401 else error.reason
            raise SourceError(f"{self.request.shown}: {why} ({error.code})") from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            raise SourceError(f"{self.request.shown}: cannot be fetched: {why}") from None
        if data == self._last:
            return None
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            raise SourceError(f"{self.request.shown}: the answer is no picture; expected JPEG or PNG")
        self._last = data
        self.stats.decoded += 1
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def _ask(self) -> Any:
        """The answer of the server; it is sent a password in the clear only if it asks for that (Basic)."""
        try:
            request = urllib.request.Request(self._url, headers=self._headers)  # noqa: S310
            return self._opener.open(request, timeout=self.config.timeout_s)
        except urllib.error.HTTPError as error:
            scheme = error.headers.get("WWW-Authenticate", "").partition(" ")[0].lower()
            if error.code != 401 or scheme != "basic" or self._headers or not self._basic:
                raise
            error.close()
            self._headers = self._basic
            return self._ask()


def _opener(url: str) -> tuple[urllib.request.OpenerDirector, str, dict[str, str]]:
    """Something that opens the URL, with its password where the server asks for a digest of it; the URL without user
    name and password; and the header that holds them in the clear."""
    parts = urlsplit(url)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if not parts.username:
        return urllib.request.build_opener(), plain, {}
    user, password = unquote(parts.username), unquote(parts.password or "")
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, plain, user, password)
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    opener = urllib.request.build_opener(urllib.request.HTTPDigestAuthHandler(passwords))
    return opener, plain, {"Authorization": f"Basic {token}"}
