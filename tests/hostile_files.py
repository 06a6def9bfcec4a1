"""Files from outside that were tampered with: MOTChallenge rows, marks, configurations, heat, checkpoints."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from pipeline.audit.marks import precisions, read_marks
from pipeline.config.load import load
from pipeline.config.schema import Config, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.evaluation.detection_tracks import track_file
from pipeline.evaluation.track_files import check_once, read_rows
from pipeline.records.checkpoint import Position, encode_checkpoint, read_checkpoint
from pipeline.records.framing import frame
from pipeline.records.heat_file import heat_path, read_heat, write_heat
from pipeline.records.log import read_log
from pipeline.runtime.heatmaps import write_heatmaps
from tests.records.logs import VERSION_1
from tests.records.mutations import damaged

WORDS: tuple[bytes, ...] = (
    b"", b"0", b"-0", b"1", b"-1", b"2", b"255", b"2147483648", b"1e308", b"-1e308", b"1e-320", b"nan", b"inf", b"-inf",
    b"9" * 400, b"0x10", b"1_0", b"x", b"null", b"true", b"[]", b"{}", b"[[[[[[", b"'", b'"', b"\\", b"\0", b"\x1b[31m",
    b"\xff\xfe", "é€😀".encode(), b"/", b"..", b"*a", b"&a", b"<<: *a", b"!!python/name:os.system", b"${X}", b"${",
    b"rtsp://u:p@h/1", b"- ", b": ", b"#", b"\t", b"\r", b"\n\n", b"a" * 3000,
)  # fmt: skip
_TOKEN = re.compile(rb"[\w.+-]+|[^\w\s]")
_PREAMBLE = 9
_HEAD = struct.Struct("<III")

LINES = {"door": {"points": [[0.5, 0.1], [0.5, 0.9]], "directions": ["in", "out"]}}
ZONES = {"yard": {"points": [[0.3, 0.1], [0.9, 0.1], [0.9, 0.9], [0.3, 0.9]]}}
CONFIG = Config.model_validate({"streams": {"gate": {"source": "gate.mp4", "lines": LINES, "zones": ZONES}}})


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: Of the file.
        make: A whole file.
        change: A file and a seed -> the file with some changes.
        use: What Tallycam does with it.
    """

    name: str
    make: Callable[[], bytes]
    change: Callable[[bytes, int], bytes]
    use: Callable[[Path], object]


def mutated_text(data: bytes, seed: int) -> bytes:
    """A text with one to four changes: other words, and lines that are lost, doubled, swapped or cut.

    Args:
        data: the text.
        seed: which changes.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 0.2:
        return damaged(data, seed)
    for _ in range(rng.integers(1, 5)):
        lines = data.split(b"\n")
        kind, place = rng.integers(0, 8), int(rng.integers(0, len(lines)))
        if kind == 0:
            del lines[place]
        elif kind == 1:
            lines.insert(place, lines[int(rng.integers(0, len(lines)))])
        elif kind == 2:
            lines[place] = lines[place][: int(rng.integers(0, len(lines[place]) + 1))]
        else:
            tokens = list(_TOKEN.finditer(lines[place]))
            if tokens:
                token = tokens[int(rng.integers(0, len(tokens)))]
                word = WORDS[int(rng.integers(0, len(WORDS)))]
                lines[place] = lines[place][: token.start()] + word + lines[place][token.end() :]
        data = b"\n".join(lines)
    return data


def mutated_frames(data: bytes, seed: int) -> bytes:
    """A checkpoint with changes; in most cases its checksums are right.

    Args:
        data: the checkpoint.
        seed: which changes.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 0.2:
        return damaged(data, seed)
    parts, offset = [], _PREAMBLE
    while offset < len(data):
        length = _HEAD.unpack_from(data, offset)[0]
        parts.append(bytearray(data[offset + _HEAD.size : offset + _HEAD.size + length]))
        offset += _HEAD.size + length
    for _ in range(rng.integers(1, 4)):
        part = parts[int(rng.integers(0, len(parts)))]
        kind = rng.integers(0, 4)
        if kind == 0 and len(parts) > 1:
            parts.remove(part)
        elif kind == 1:
            del part[int(rng.integers(0, len(part) + 1)) :]
        elif part:
            for _ in range(rng.integers(1, 4)):
                part[int(rng.integers(0, min(len(part), 600)))] = int(rng.integers(0, 256))
    return data[:_PREAMBLE] + b"".join(frame(bytes(part)) for part in parts)


def mutated_heat(data: bytes, seed: int) -> bytes:
    """Heat whose file is damaged, or whole with arrays of other shapes, types and values.

    Args:
        data: the file.
        seed: which changes.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 0.3:
        return damaged(data, seed)
    made = {}
    for number in range(int(rng.integers(0, 4))):
        shape = rng.choice([0, 1, 2, 9, 16, 300], int(rng.integers(0, 4)))
        values = np.full(shape, rng.choice([0.0, 1.0, -1.0, 1e30, np.nan, np.inf]))
        if values.size and rng.random() < 0.5:
            values.flat[0] = rng.choice([np.nan, np.inf, -np.inf, 5.0])
        name = (
            WORDS[int(rng.integers(0, len(WORDS)))].decode(errors="replace")
            if rng.random() < 0.5
            else f"c{number}"
        )
        with np.errstate(all="ignore"):
            made[name] = values.astype(
                rng.choice(["float32", "float64", "float16", "int64", "uint8", "bool"])
            )
    return save(made)


def _detections() -> bytes:
    rows = [
        f"{number},-1,{10 + 3 * number},{20 * lane},16,30,{50 + lane}"
        for number in range(1, 16)
        for lane in range(3)
    ]
    return "\n".join(rows).encode()


def _truth() -> bytes:
    rows = [row.split(b",") for row in _detections().split(b"\n")]
    return b"\n".join(
        b",".join([row[0], b"%d" % (1 + number % 3), *row[2:]]) for number, row in enumerate(rows)
    )


def _use_truth(path: Path) -> None:
    check_once(read_rows(path), path)


def _marks() -> bytes:
    marks = {f"r1/gate/{number}": ("correct", "wrong", "unsure", "right")[number % 4] for number in range(8)}
    return json.dumps({"run": "r1", "seed": 0, "marks": marks}, indent=1).encode()


def _use_marks(path: Path) -> None:
    events = [{"key": f"r1/gate/{number}", "stream": "gate", "name": "door"} for number in range(8)]
    for one in precisions(events, read_marks(path, "r1")):
        assert 0 <= one.interval[0] <= one.interval[1] <= 1


def _configuration() -> bytes:
    return b"""\
model: {name: street}
streams:
  gate: &gate
    source: rtsp://viewer:secret@camera.local/stream1
    fps: 12.5
    lines:
      door: {points: [[0.1, 0.6], [0.9, 0.6]], classes: [person], directions: [in, out], deadband: 0.1}
    zones:
      yard: {points: [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]}
  back:
    <<: *gate
    source: camera:0
tracker: {hold_s: 0.7, confirm_s: 0.25}
output: {video: {codec: h264, crf: 23}, events: "sqlite:///events.db", group: null}
retention: {days: 7, disk_percent: 80}
"""


def _heat() -> bytes:
    rng = np.random.default_rng(0)
    path = Path(__file__).with_name(".heat")
    try:
        write_heat(path, {"person": rng.random((9, 16)), "car": rng.random((9, 16))})
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def _use_heat(path: Path) -> None:
    out = path.parent / "out"
    (out / "log").mkdir(parents=True, exist_ok=True)
    kept = heat_path(out, "gate")
    kept.write_bytes(path.read_bytes())
    read_heat(kept)
    write_heatmaps(CONFIG, out)


def _counter() -> StreamCounter:
    return StreamCounter("gate", CONFIG.streams["gate"], CONFIG.tracker, read_log(VERSION_1)[0].classes)


def _checkpoint() -> bytes:
    counter, last = _counter(), None
    for instances in read_log(VERSION_1)[1]:
        counter.update(instances)
        last = Position.of(instances)
    assert last is not None
    return encode_checkpoint("gate", "r1", last, counter.sections())


def _use_checkpoint(path: Path) -> None:
    counter = _counter()
    checkpoint = read_checkpoint(path, "gate", counter.section_keys())
    if set(counter.required_sections) <= set(checkpoint.states):
        counter.restore(checkpoint.states)
        for instances in read_log(VERSION_1)[1]:
            counter.update(instances)


def _use_detections(path: Path) -> None:
    track_file(path, path.with_suffix(".out"), TrackerConfig())


KINDS = (
    Kind("det.txt", _detections, mutated_text, _use_detections),
    Kind("gt.txt", _truth, mutated_text, _use_truth),
    Kind("marks.json", _marks, mutated_text, _use_marks),
    Kind("gate.yaml", _configuration, mutated_text, load),
    Kind("gate.heat", _heat, mutated_heat, _use_heat),
    Kind("latest.checkpoint", _checkpoint, mutated_frames, _use_checkpoint),
)
