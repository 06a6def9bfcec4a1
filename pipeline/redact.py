"""Passwords out of everything that people read: errors, logs, tables, reports."""

from __future__ import annotations

import re

MASK = "***"

_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@'\"]*):[^\s'\"]*@")
"""Greedy up to the last `@`: a password may itself hold `@` or `/`; hiding too much is the safe mistake."""

_SECRET_PARAMETER = re.compile(
    r"([?&;][\w.-]*(?:pass|pwd|psw|token|secret|key|auth|sig)[\w.-]*=)[^\s&;#'\"]*", re.IGNORECASE
)


def redact(text: str) -> str:
    """`text` with every password in a URL replaced by `***`; applying it twice changes nothing more.

    Hides `scheme://user:PASSWORD@host` and query parameters such as `?password=`, `&token=`. `text` may be
    one URL or a whole message with URLs in it.
    """
    return _SECRET_PARAMETER.sub(rf"\g<1>{MASK}", _USER_INFO.sub(rf"\g<1>:{MASK}@", text))


def shown(text: str, longest: int = 64) -> str:
    """Foreign text as a part of one line of a message: no password, no control characters, not too long."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    text = redact(text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
