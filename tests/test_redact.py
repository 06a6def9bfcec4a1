"""Passwords out of what people read."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.config.schema import Config
from pipeline.redact import forget, learn, redact, shown

MARK = "xyzzyplugh"
"""A part of every password below that occurs nowhere else."""


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("rtsp://viewer:hush@camera.local:554/stream1", "rtsp://viewer:***@camera.local:554/stream1"),
        ("rtsp://viewer:h@u/sh@camera.local/1", "rtsp://viewer:***@camera.local/1"),
        ("rtsp://viewer:h'u\"s h@camera.local/1", "rtsp://viewer:***@camera.local/1"),
        ("rtsp://viewer:hush://@camera.local/1", "rtsp://viewer:***@camera.local/1"),
        ("rtsp://viewer:a rtsp://b@camera.local/1", "rtsp://viewer:***@camera.local/1"),
        ("rtsp://viewer:12/34@camera.local/1", "rtsp://viewer:***@camera.local/1"),
        ("rtsp://me@corp.com:hush@camera.local/1", "rtsp://me@corp.com:***@camera.local/1"),
        ("rtsp://John Smith:hush@camera.local/1", "rtsp://John Smith:***@camera.local/1"),
        ("rtsp://:hush@camera.local/1", "rtsp://:***@camera.local/1"),
        ("rtsp://viewer:hush@[fe80::1]:554/1", "rtsp://viewer:***@[fe80::1]:554/1"),
        ("rtsp:/viewer:hush@camera.local/1", "rtsp:***@camera.local/1"),
        ("viewer:hush@camera.local/1", "viewer:***@camera.local/1"),
        ("http://h/video?user=a&password=hush&n=1", "http://h/video?user=a&password=***&n=1"),
        ("http://h/video?user=a&password=hu sh&n=1", "http://h/video?user=a&password=***&n=1"),
        ("http://h/video?p%61ssword=hush&n=1", "http://h/video?p%61ssword=***&n=1"),
        ("http://h/video?access_token=hush", "http://h/video?access_token=***"),
        ("http://h/cgi?loginuse=admin&loginpas=hush", "http://h/cgi?loginuse=admin&loginpas=***"),
        ("http://h/shot?u=admin&p=hush", "http://h/shot?u=admin&p=***"),
        ("http://h/shot?usr=admin;pwd=hush;n=1", "http://h/shot?usr=admin;pwd=***;n=1"),
        (
            "rtsp://h:554/user=admin_password=hush_channel=1_stream=0.sdp?real_stream",
            "rtsp://h:554/user=admin_password=***_channel=1_stream=0.sdp?real_stream",
        ),
        ("rtsp://h:554/user=a&password=hush&channel=1", "rtsp://h:554/user=a&password=***&channel=1"),
        (
            "http://h/api?src=rtsp%3A%2F%2Fviewer%3Ahush%40camera.local%2F1&n=1",
            "http://h/api?src=rtsp%3A%2F%2Fviewer%3A***%40camera.local%2F1&n=1",
        ),
        ("Authorization: Basic dTpodXNo", "Authorization: Basic ***"),
        ("host=db user=tally password=hush dbname=x", "host=db user=tally password=*** dbname=x"),
        ("[Errno 1] 'rtsp://a:hush@h/1' and rtsp://b:hush@h/2: gone",
         "[Errno 1] 'rtsp://a:***@h/1' and rtsp://b:***@h/2: gone"),
        ("rtsp://cam:554/1 and rtsp://b:hush@h/2: gone", "rtsp://cam:554/1 and rtsp://b:***@h/2: gone"),
        ("postgresql+psycopg://u:hush@h/db", "postgresql+psycopg://u:***@h/db"),
        ("p@ss is wrong: rtsp://u:p%40ss@h/1", "*** is wrong: rtsp://u:***@h/1"),
    ],
)  # fmt: skip
def test_passwords_are_hidden_and_nothing_else(text: str, safe: str) -> None:
    assert redact(text) == safe
    assert redact(safe) == safe


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://camera.local:554/stream1: Connection refused",
        "rtsp://camera.local/stream: ask me@example.org",
        "http://[::1]:8080/@me",
        "http://h.example/video?user=a&n=1&keyframes=2",
        "https://example.org/a:b@c",
        "sqlite:///out/events.db",
        "file.mp4",
        "mail@example.org",
        "12:30:05 gate/0/25/line/door/7/in",
        "[rtsp @ 0x5581] method DESCRIBE failed: 401",
        "score=0.5, p=0.05: lines.door.points[0]",
        "rtsp://:@camera.local/1",
    ],
)
def test_text_without_a_password_is_left_alone(text: str) -> None:
    assert redact(text) == text


@given(st.text("abc/.?# ,;'\"()[]-0123456789éß\n", max_size=80))
def test_text_without_any_form_of_a_password_is_left_alone(text: str) -> None:
    assert redact(text) == text
    assert redact(f"http://camera.local/{text}") == f"http://camera.local/{text}"


characters = st.characters(exclude_categories=["Cs"])
hostile = st.text("abZ019@/:?#&=%+-_.~!$*()'\"\\ <>[]{}|;,é\t", max_size=16) | st.text(
    characters, max_size=16
)
passwords = st.builds(lambda before, after: f"{before}{MARK}{after}", hostile, hostile)
anything = st.text(max_size=12)


@given(password=passwords, before=anything, after=anything)
@example(password=f"'{MARK}", before="'", after="'")
@example(password=f"1:2@{MARK} @", before="", after="")
def test_no_password_of_a_user_survives_and_hiding_twice_changes_nothing(
    password: str, before: str, after: str
) -> None:
    for scheme in ("rtsp", "http", "postgresql+psycopg"):
        text = redact(f"{before} {scheme}://user:{password}@camera.local/1 {after}")
        assert MARK not in text
        assert redact(text) == text


@given(password=passwords, after=anything, name=st.sampled_from(["password", "pwd", "loginpas", "p", "pass"]))
def test_no_password_of_a_query_survives(password: str, after: str, name: str) -> None:
    assume(not re.search(r"[&;][A-Za-z%][\w.%-]*=", password))  # there a server takes it to end as well
    for url in (
        f"http://h/video?user=a&{name}={password}&n=1",
        f"http://h/video?{name}={password}",
        f"rtsp://h:554/user=admin_{name}={password}_channel=1_stream=0.sdp",
    ):
        text = redact(f"{url} {after}")
        assert MARK not in text
        assert redact(text) == text


@given(password=passwords)
def test_a_password_is_hidden_encoded_and_decoded(password: str) -> None:
    encoded = quote(password, safe="")
    for first, second in [(encoded, password), (encoded, encoded)]:
        text = redact(f"rtsp://user:{first}@camera.local/1: {second} is wrong")
        assert MARK not in text


@given(password=passwords, user=st.text(max_size=8))
def test_what_was_learned_is_hidden_wherever_and_however_it_is_written(password: str, user: str) -> None:
    assume("@" not in user and ":" not in user)
    forget()
    learn(f"rtsp://{user}:{password}@camera.local/1")
    for form in (
        password,
        quote(password),
        repr(password),
        json.dumps(password),
        json.dumps({"a": password}),
    ):
        assert MARK not in redact(f"refused: {form}!")


@pytest.mark.parametrize("password", ["ab", "person"])
def test_short_secrets_and_plain_words_are_hidden_in_urls_only(password: str) -> None:
    learn(f"rtsp://a:{password}@h/1")
    assert redact(f"rtsp://a:{password}@h/1: {password} is away") == f"rtsp://a:***@h/1: {password} is away"


def test_what_is_learned_is_bounded() -> None:
    learn(*(f"rtsp://a:password-{number}@h/1" for number in range(300)), "no URL", "rtsp://h/1")
    assert redact("password-0 password-299") == "password-0 ***"


def test_long_text_is_done_in_no_time() -> None:
    for part in ("a", "a:", "://", "&a", "a@", "a://b:c ", "?p=1", "password=1 ", "a:b@c ", "rtsp://a:b@c "):
        redact(part * 10_000)


@given(st.text(max_size=200))
def test_shown_text_is_one_short_printable_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 64


@given(password=passwords)
def test_shown_text_holds_no_password(password: str) -> None:
    assert MARK not in shown(f"rtsp://user:{password}@camera.local/1", longest=1000)


def test_a_configuration_makes_its_passwords_known() -> None:
    Config.model_validate({
        "streams": {"gate": {"source": "rtsp://viewer:hu sh@camera.local/1"}},
        "output": {"events": "postgresql://tally:long-winded@db/x"},
    })  # fmt: skip
    assert redact("401: 'hu sh', hu%20sh and long-winded") == "401: '***', *** and ***"
