"""summary.json: its contract, and that it is there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from pipeline.config.schema import Config
from pipeline.errors import OutputError
from pipeline.records.summary import StreamSummary, build, write_json

GATE = StreamSummary(
    decoded=750,
    processed=748,
    dropped={"replaced": 2},
    counts={
        "unique": {"person": np.int64(6)},
        "uncertain": {"person": 1},
        "doubtful": {"person": 1},
        "lines": {"door": {"person": {"in": 4, "out": 2}}},
        "zones": {"yard": {"car": {"now": 1, "entries": 3, "exits": 2, "dwell_s": 12.5}}},
        "od": {},
    },
    fps=24.9,
    latency_ms={"p50": 31.0, "p99": float("nan")},
    extra={"source": "rtsp://viewer:hush@camera.local/1", "damage": {"packets": 3}},
)


def test_the_contract_holds(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", build({"gate": GATE}, version="0.1.0", run="r1"))
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "streams": {
            "gate": {
                "frames": {"decoded": 750, "processed": 748, "dropped": {"replaced": 2}},
                "unique": {"person": 6},
                "uncertain": {"person": 1},
                "doubtful": {"person": 1},
                "lines": {"door": {"person": {"in": 4, "out": 2}}},
                "zones": {"yard": {"car": {"now": 1, "entries": 3, "exits": 2, "dwell_s": 12.5}}},
                "fps": 24.9,
                "latency_ms": {"p50": 31.0, "p99": None},
                "source": "rtsp://viewer:***@camera.local/1",
                "damage": {"packets": 3},
            }
        },
        "version": "0.1.0",
        "run": "r1",
    }


def test_a_stream_without_a_frame_has_the_keys_of_the_contract() -> None:
    (stream,) = build({"gate": StreamSummary(decoded=0, processed=0)})["streams"].values()
    assert list(stream) == ["frames", "unique", "lines", "zones", "fps", "latency_ms"]


@pytest.mark.parametrize("where", ["counts", "extra"])
def test_other_keys_do_not_replace_the_contract(where: str) -> None:
    with pytest.raises(ValueError, match="'fps'"):
        build({"gate": StreamSummary(decoded=0, processed=0, **{where: {"fps": 1}})})


def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "summary.json"
    write_json(path, build({}))
    before = path.read_bytes()

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"summary.json: cannot be written: No space left on device"):
        write_json(path, build({"gate": GATE}))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["summary.json"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"none/summary.json: cannot be written: No such file or directory"):
        write_json(tmp_path / "none" / "summary.json", build({}))


@pytest.mark.parametrize(
    "password", ["hu'sh", 'hu"sh', "hu sh", "h@u:s/h#", "hu\\sh", "hush%40", "h\u00fcsh"]
)
def test_a_configuration_is_kept_without_its_passwords_and_for_its_owner_alone(
    tmp_path: Path, password: str
) -> None:
    sources = {
        "gate": f"rtsp://viewer:{password}@camera.local/1",
        "yard": f"rtsp://camera.local/user=admin_password={password}_channel=1",
        "road": f"http://camera.local/video?usr=a&pwd={password}",
    }
    config = Config.model_validate({
        "streams": {name: {"source": source} for name, source in sources.items()},
        "output": {"events": f"postgresql://tally:{password}@db/x"},
    })  # fmt: skip
    path = tmp_path / "config.json"
    write_json(path, config.model_dump(mode="json"), mode=0o600)
    text = path.read_text()
    data = json.loads(text)
    for form in (password, json.dumps(password)[1:-1], quote(password)):
        assert form not in text
    assert data["streams"]["gate"]["source"] == "rtsp://viewer:***@camera.local/1"
    assert data["streams"]["yard"]["source"] == "rtsp://camera.local/user=admin_password=***_channel=1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert password not in repr(config)
