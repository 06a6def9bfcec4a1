"""Removes passwords from everything people read: errors, logs, tables, reports.

URLs are parsed rather than matched by one pattern, because a password may contain any character, including those that
should be percent-encoded and often are not. Where a text is ambiguous, too much is hidden rather than too little. The
URLs of a configuration are known exactly: `learn` extracts their secrets, and `redact` then hides those wherever they
appear.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"

MIN_LEARNED = 4
"""Characters. Shorter secrets are hidden inside URLs only, not wherever else the same letters occur."""
MIN_LEARNED_WORD = 8
"""The same for secrets of letters and digits alone, which may be names of streams or classes as well."""
MAX_LEARNED = 256
"""Upper bound on learned secrets; a configuration has a handful."""

Span = tuple[int, int]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://")
_SEPARATED = re.compile(r"(?:^|(?<=[\s'\"(\[{<,;]))[A-Za-z][A-Za-z0-9+.-]{0,30}://")
"""Start of a URL after white space, a quote or a bracket, as opposed to `://` inside a password."""
_ENCODED_URL = re.compile(r"[A-Za-z0-9+.-]{1,31}%3A%2F%2F[^\s&'\"]*", re.IGNORECASE)
"""A URL as the percent-encoded value of another one's parameter."""
_HOST_ONLY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\](?::\d+)?|localhost|[\w-]+(?:\.[\w-]+)+)(?=[/?#]|$)")
"""An authority that is certainly a host, without user-info."""
_MAYBE_HOST = re.compile(r"[\w.-]+(?::\d{1,5})?(?=[/?#\s'\"]|$)")
_NO_SCHEME = re.compile(r"(?<![^\s'\"(=])[^\s:@'\"(=]{0,64}:(?!//)(?=(\S+)@[\w\[])")
"""`user:password@host` without a scheme, or with a misspelt one such as `rtsp:/`."""

_PARAMETER = re.compile(r"(?<=[?&;/_,])([A-Za-z%][\w.%-]{0,64}?)=")
_SECRET_NAME = re.compile(
    r"pass|pwd|psw|secret|token|credential|signature|api.?key|(?:^|[_.-])(?:p|pw|key|auth|authbasic|sig)$|pas$",
    re.IGNORECASE,
)
_NEXT_IN_QUERY = re.compile(r"[&;][A-Za-z%][\w.%-]{0,64}=")
_NEXT_IN_PATH = re.compile(r"[_&;](?:user|channel|stream|real_stream|subtype|protocol)=")
_MASKED = re.compile(r"\*\*\*(?=$|[\s&;:,'\")\]@/?#_])")
_AUTHORIZATION = re.compile(
    r"\bauthorization['\"]?\s{0,9}[:=]\s{0,9}['\"]?(?:basic|bearer)\s{1,9}([^\s'\",]+)", re.IGNORECASE
)
_KEYWORD = re.compile(
    r"(?<![\w?&;/_,])(?:password|passwd|pwd|passphrase)\s?=\s?((?:(?!\s+\w+\s?=).)+)", re.DOTALL
)
"""A libpq connection string, `host=db password=...`."""

_learned: dict[str, None] = {}


def redact(text: str) -> str:
    """Replaces every password in `text` by `***`. Idempotent.

    Handles `scheme://user:PASSWORD@host`, query parameters such as `?user=a&password=...`, `&pwd=`, `&p=` and
    `&token=`, the path form `/user=admin_password=..._channel=1`, and the secrets passed to `learn`. Percent-encoded,
    decoded and escaped copies of a secret elsewhere in the text are hidden as well.

    Args:
        text: a URL, or a message that contains any number of URLs.

    Returns:
        The text without passwords.
    """
    if not _learned and ":" not in text and "=" not in text:
        return text
    spans = [span for span in _secrets(text) if span[0] < span[1]]
    found = [text[start:end] for start, end in spans]
    shortest = [secret.partition("@")[0] for secret in found]  # RFC 3986: no `@` in a password
    for secret in dict.fromkeys([*found, *shortest, *_learned]):
        spans += _occurrences(text, secret, _is_telling)
    return _masked(text, spans)


def learn(*urls: str) -> None:
    """Remembers the secrets of these URLs for the life of the process, for `redact` to hide wherever they appear.

    Args:
        urls: one URL each, as configured. Everything before the last `@` counts as user-info, even after a `/`.
    """
    for url in urls:
        secrets = [url[start:end] for start, end in _secrets(url)]
        if scheme := _SCHEME.match(url):
            colon, at = url.find(":", scheme.end()), _last_at(url, scheme.end(), len(url))
            secrets += [url[colon + 1 : at]] if 0 <= colon < at else []
        for secret in secrets:
            if _is_telling(secret):
                _learned[secret] = None
    while len(_learned) > MAX_LEARNED:
        del _learned[next(iter(_learned))]


def forget() -> None:
    """Forgets all learned secrets (tests share one process)."""
    _learned.clear()


def is_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret, e.g. `password` or `api_key`.

    Args:
        name: Of a setting or a part of a query.
    """
    return _SECRET_NAME.search(name) is not None


def shown(text: str, longest: int = 64) -> str:
    """Foreign text as a part of one line of a message: no password, no control characters, not too long.

    Args:
        text: Of the user.
        longest: Greatest length.
    """
    text = redact(text)
    if not text.isprintable():
        text = redact("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _secrets(text: str) -> Iterator[Span]:
    """Finds the passwords in `text`."""
    position = 0
    while (scheme := _SCHEME.search(text, position)) is not None:
        position = scheme.end()
        if (span := _user_info(text, position)) is not None:
            yield span
            position = span[1]
    for nested in _ENCODED_URL.finditer(text):
        decoded = unquote(nested.group())
        for start, end in _secrets(decoded):
            for at, to in _occurrences(nested.group(), decoded[start:end], bool):
                yield nested.start() + at, nested.start() + to
    yield from _parameters(text)
    for pattern in (_NO_SCHEME, _AUTHORIZATION, _KEYWORD):
        yield from (match.span(1) for match in pattern.finditer(text))


def _user_info(text: str, start: int) -> Span | None:
    """Finds the password of the URL whose authority begins at `start`.

    The user-info extends to the last `@` that is followed by a possible host, since the password may contain `@`, `/`
    or blanks. It stops at the next URL, unless the text up to there can only be the start of a user-info.
    """
    if _HOST_ONLY.match(text, start):
        return None
    colon = text.find(":", start)
    if colon < 0:
        return None
    if (masked := _MASKED.match(text, colon + 1)) and text.startswith("@", masked.end()):
        return masked.span()
    at = _last_at(text, colon, len(text))
    if at < 0:
        return None
    has_host = _MAYBE_HOST.match(text, start) is not None
    for following in _SEPARATED.finditer(text, start):
        before = _last_at(text, start, following.start())
        if has_host or before >= 0:
            at = before
            break
    return (colon + 1, at) if at > colon else None


def _last_at(text: str, start: int, end: int) -> int:
    """Position of the last `@` followed by a possible host, or -1."""
    at = text.rfind("@", start, end)
    while at >= 0 and not (at + 1 < end and (text[at + 1].isalnum() or text[at + 1] in "[_%$*")):
        at = text.rfind("@", start, at)
    return at


def _parameters(text: str) -> Iterator[Span]:
    """Finds the values of secret parameters. A value extends to the next parameter, the next URL or the end of the
    text: a blank or a quote does not end it."""
    position = 0
    while (match := _PARAMETER.search(text, position)) is not None:
        position = match.end()
        if not _SECRET_NAME.search(unquote(match.group(1))):
            continue
        if (masked := _MASKED.match(text, position)) is not None:
            yield masked.span()
            continue
        in_path = text[match.start() - 1] in "/_,"
        following = (_NEXT_IN_PATH if in_path else _NEXT_IN_QUERY).search(text, position)
        url = _SEPARATED.search(text, position)
        end = min(found.start() if found else len(text) for found in (following, url))
        yield position, end
        position = end


def _occurrences(text: str, secret: str, counts: Callable[[str], bool]) -> Iterator[Span]:
    """Finds copies of a secret, in every encoding for which `counts` is true."""
    for form in _forms(secret):
        position = text.find(form) if form != MASK and counts(form) else -1
        while position >= 0:
            yield position, position + len(form)
            position = text.find(form, position + 1)


def _is_telling(secret: str) -> bool:
    """Whether a secret can be told from other text wherever it occurs."""
    return secret != MASK and len(secret) >= (MIN_LEARNED_WORD if secret.isalnum() else MIN_LEARNED)


@functools.lru_cache(MAX_LEARNED)
def _forms(secret: str) -> frozenset[str]:
    plain = unquote(secret, errors="surrogateescape")
    forms = {unquote_plus(secret)}
    for one in (secret, plain):
        forms |= {one, repr(one)[1:-1], json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1]}
        forms |= {html.escape(one), html.escape(one, quote=False)}
        for encode in (quote, quote_plus):
            forms |= {encode(one, errors="surrogatepass"), encode(one, safe="", errors="surrogatepass")}
    return frozenset(forms)


def _masked(text: str, spans: list[Span]) -> str:
    """Replaces the spans, which may overlap, by `MASK`."""
    parts: list[str] = []
    position = 0
    for start, end in sorted(spans):
        if start > position or not parts:
            parts += [text[position:start], MASK]
        position = max(position, end)
    return "".join([*parts, text[position:]])
