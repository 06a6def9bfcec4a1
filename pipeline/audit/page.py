"""The page of an audit: a card for each event, marks by button or key, precision as it grows. Works from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pipeline.audit.marks import group_of
from pipeline.audit.strips import Strip
from pipeline.evaluation.page import page

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Card:
    """An event and its three pictures as data URLs; empty where the frame could not be had."""

    strip: Strip
    pictures: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Heading:
    """What the page says of itself.

    Attributes:
        run: name of the run; marks are kept under it.
        subject: which run, in words.
        counted: events of the run that could have been shown.
        groups: line or zone -> events of the run.
        sample, seed: how the events were drawn; None: all are there.
        notes: what a reader must know.
    """

    run: str
    subject: str
    counted: int
    groups: Mapping[str, int]
    sample: int | None
    seed: int
    notes: tuple[str, ...]


def audit_page(heading: Heading, cards: Sequence[Card]) -> str:
    """The whole page."""
    info = {
        "run": heading.run, "counted": heading.counted, "groups": dict(heading.groups),
        "sample": heading.sample, "seed": heading.seed,
    }  # fmt: skip
    data = json.dumps(info).replace("<", "\\u003c")
    options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in heading.groups)
    drawn = (
        f"{len(cards)} of {heading.counted} counted events, drawn at random (seed {heading.seed})"
        if heading.sample is not None and len(cards) < heading.counted
        else f"all {len(cards)} counted events"
    )
    body = f"""<h1>Is each count right?</h1>
<p class=soft>{escape(heading.subject)}: {drawn}.</p>
<p>Each strip shows one counted object <b>before, at and after</b> its event: the line in yellow, the object in
pink, its way in blue. Mark what you see.</p>
{"".join(f"<p class=note>{escape(note)}</p>" for note in heading.notes)}
<div class=facts><div class=fact><span>precision</span><b id=precision>-</b><span id=interval></span></div>
<div class=fact><span>marked</span><b id=done>0</b><span>kept in this browser</span></div></div>
<div class=scroll><table><thead><tr><th>line or zone</th><th class=number>counted</th><th class=number>shown</th>
<th class=number>right</th><th class=number>wrong</th><th class=number>unsure</th><th class=number>precision</th>
<th class=number>95 %, footage like this</th><th class=number>95 %, this run</th></tr></thead><tbody id=sums></tbody>
</table></div>
<div class=bar><select id=which aria-label="which events"><option value=all>all events</option>
<option value=none>not marked</option><option value=right>right</option><option value=wrong>wrong</option>
<option value=unsure>unsure</option></select>
<select id=group aria-label="line or zone"><option value="">all lines and zones</option>{options}</select>
<span class="keys soft"><kbd>1</kbd> right <kbd>2</kbd> wrong <kbd>3</kbd> unsure <kbd>0</kbd> none
<kbd>&larr;</kbd> <kbd>&rarr;</kbd> move</span><span class=grow></span>
<button id=save>Save marks</button><label class=file>Open marks<input id=load type=file accept=".json"></label></div>
<p id=empty class=soft hidden>No event is left here.</p>
<div class=cards>{"".join(map(_card, cards))}</div>
<script type="application/json" id=info>{data}</script>"""
    return page(
        "Is each count right?", body, (_FOLDER / "audit.css").read_text(), (_FOLDER / "audit.js").read_text()
    )


def _card(card: Card) -> str:
    event = card.strip.event
    at_s = float(event["pts_s"])
    words = ("before", "at the event", "after")
    figures = []
    for shot, word, url in zip(card.strip.shots, words, card.pictures, strict=True):
        apart_s = shot.pts_s - at_s
        when = (
            word
            if word == "at the event"
            else f"{word}, {apart_s:+.2f} s"
            if apart_s
            else f"{word}: no frame"
        )
        unseen = "" if shot.box_px is not None else ", not seen"
        alt = f"{event['class_name']} {event['track']} {word}"
        image = f'<img loading=lazy src="{url}" alt="{escape(alt)}">' if url else "<img alt='no picture'>"
        figures.append(f"<figure>{image}<figcaption>{escape(when + unseen)}</figcaption></figure>")
    what = {
        "line": f"{event['name']}: {event['direction']}",
        "zone": f"{event['name']}: {event['direction']}",
    }.get(str(event["kind"]), "new object")
    return (
        f'<div class=card data-key="{escape(str(event["key"]))}" data-group="{escape(group_of(event))}">'
        f"<div class=strip>{''.join(figures)}</div>"
        f"<div class=what><b>{escape(what)}</b><span>{escape(str(event['class_name']))} {event['track']}</span>"
        f"<span>{_clock(at_s)}</span><span>frame {event['frame']}</span><span>score {event['score']:.2f}</span></div>"
        "<div class=marks><button data-mark=right>right</button><button data-mark=wrong>wrong</button>"
        "<button data-mark=unsure>unsure</button></div></div>"
    )


def _clock(time_s: float) -> str:
    hours, rest = divmod(time_s, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{int(hours)}:{int(minutes):02d}:{seconds:05.2f}" if hours else f"{int(minutes)}:{seconds:05.2f}"
