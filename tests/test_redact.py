"""Passwords out of what people read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.redact import redact, shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("rtsp://viewer:hush@camera.local:554/stream1", "rtsp://viewer:***@camera.local:554/stream1"),
        ("rtsp://viewer:h@u/sh@camera.local/1", "rtsp://viewer:***@camera.local/1"),
        ("rtsp://:hush@camera.local/1", "rtsp://:***@camera.local/1"),
        ("http://h/video?user=a&password=hush&n=1", "http://h/video?user=a&password=***&n=1"),
        ("http://h/video?access_token=hush", "http://h/video?access_token=***"),
        ("[Errno 1] 'rtsp://a:hush@h/1' and rtsp://b:hush@h/2: gone",
         "[Errno 1] 'rtsp://a:***@h/1' and rtsp://b:***@h/2: gone"),
        ("postgresql+psycopg://u:hush@h/db", "postgresql+psycopg://u:***@h/db"),
        ("rtsp://camera.local:554/stream1", "rtsp://camera.local:554/stream1"),
        ("file.mp4", "file.mp4"),
        ("mail@example.org", "mail@example.org"),
    ],
)  # fmt: skip
def test_passwords_of_urls_are_hidden_and_nothing_else(text: str, safe: str) -> None:
    assert redact(text) == safe


passwords = st.text("abcXYZ0189@/:?#&=%+-_.~!$*()", min_size=1, max_size=20).map("xyzzy".__add__)


@given(password=passwords, before=st.text(max_size=10), after=st.text(max_size=10))
def test_no_password_survives_and_hiding_twice_changes_nothing(
    password: str, before: str, after: str
) -> None:
    text = redact(f"{before} rtsp://user:{password}@camera.local/1 {after}")
    assert "xyzzy" not in text
    assert redact(text) == text


@given(st.text(max_size=200))
def test_shown_text_is_one_short_printable_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 64
