"""Whatever process is killed and when: counts are those of a run in which nothing happened."""

import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.running import (
    STAGES,
    Command,
    command_line,
    counts,
    frames_of,
    log_size,
    run_log,
    scene,
    summary,
    tallycam,
    wait_until,
)

FRAMES = 400


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The configuration, and the results of a run in which nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = scene(folder, FRAMES)
    code, _, err = tallycam("run", config, "--out", folder / "out", "--tracks", folder / "out/rows.txt")
    assert code == 0, err
    return config, folder / "out"


def events(out: Path) -> list[tuple[Any, ...]]:
    query = "select key, pts_s, x0, y0, x1, y1 from events order by key"
    with create_engine(f"sqlite:///{out / 'events.db'}").connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def logged(out: Path, size: int) -> bool:
    return log_size(out) > size


def test_every_frame_is_counted_and_drawn_once(undisturbed: tuple[Path, Path]) -> None:
    _, out = undisturbed
    result = summary(out)
    assert result["frames"] == {"decoded": FRAMES, "processed": FRAMES, "dropped": {}}
    assert frames_of(out / "gate.mp4") == FRAMES
    middle = result["lines"]["middle"]["person"]
    assert middle["right"] > 5
    assert middle["left"] > 5
    assert result["unique"]["person"] > 10
    assert sum(key.split("/")[3] == "unique" for key, *_ in events(out)) == result["unique"]["person"]
    assert not list(out.glob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_counts_after_two_kills_are_those_of_a_run_without_one(
    undisturbed: tuple[Path, Path], tmp_path: Path, stage: str
) -> None:
    """One kill early in the run, and one late."""
    config, calm = undisturbed
    out = tmp_path / "out"
    whole = log_size(calm)
    name = f"{stage}/0" if stage in ("segment", "track") else f"{stage}/gate"
    with Command("run", config, "--out", out, "--tracks", out / "rows.txt") as command:
        for part in (0.1, 0.6):
            size = round(whole * part)
            wait_until(lambda size=size: logged(out, size), what="the log to grow")
            killed = command.kill(name)
            command.stage(name, not_pid=killed)
        code, _, err = command.finish()
    assert code == 0, err
    assert counts(out) == counts(calm)
    assert events(out) == events(calm)
    assert (out / "rows.txt").read_text() == (calm / "rows.txt").read_text()
    assert frames_of(out / "gate.mp4") > FRAMES * (0.2 if stage == "sink" else 0.9)
    assert not list(out.glob("*.part"))


@pytest.mark.slow
def test_kills_where_no_sink_takes_the_frames_change_no_count_either(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    config, calm = undisturbed
    out, whole = tmp_path / "out", log_size(calm)
    with Command("run", config, "--out", out, "--set", "output.video.codec=none") as command:
        for part, name in ((0.1, "decode/gate"), (0.4, "track/0"), (0.7, "segment/0")):
            wait_until(lambda part=part: logged(out, round(whole * part)), what="the log to grow")
            command.stage(name, not_pid=command.kill(name))
        assert not any("sink/gate" in command_line(pid) for pid in command.children())
        code, _, err = command.finish()
    assert code == 0, err
    assert counts(out) == counts(calm)
    assert events(out) == events(calm)
    frames = summary(out)
    assert frames["fps"] > 0 and frames["latency_ms"]["p99"] > 0 and frames["media_s"] > 0


@pytest.mark.slow
def test_stages_outlive_the_process_that_forked_them_and_are_restarted_by_its_successor(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    config, calm = undisturbed
    out, whole = tmp_path / "out", log_size(calm)
    with Command("run", config, "--out", out, "--set", "output.video.codec=none") as command:
        wait_until(lambda: logged(out, round(whole * 0.1)), what="the log to grow")
        command.kill("fork-server")
        killed = command.kill("decode/gate")
        command.stage("decode/gate", not_pid=killed)
        code, _, err = command.finish()
    assert code == 0, err
    assert run_log(out).count("restarted") == 1  # the decoder: the others have not noticed
    assert counts(out) == counts(calm)


@pytest.mark.slow
def test_a_run_whose_supervisor_was_killed_is_resumed_exactly(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    config, calm = undisturbed
    out = tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: logged(out, 20_000), what="the log to grow")
        children = command.children()
        command.popen.kill()
        command.popen.wait()
        wait_until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), what="the stages to end"
        )
    code, _, err = tallycam("run", config, "--out", out)
    assert code == 0, err
    assert counts(out) == counts(calm)
    assert events(out) == events(calm)


@pytest.mark.slow
def test_a_run_that_is_started_again_at_once_waits_for_the_processes_of_the_one_that_was_killed(
    tmp_path: Path,
) -> None:
    config, out = scene(tmp_path, FRAMES, realtime=True, loop=True), tmp_path / "out"
    words = ("run", config, "--out", out, "--set", "output.video.codec=none")
    with Command(*words) as first:
        wait_until(lambda: logged(out, 50_000), what="frames")
        first.popen.kill()
        first.popen.wait()
        before = log_size(out)
        with Command(*words) as second:
            wait_until(lambda: logged(out, before + 50_000), what="frames of the second run")
            code, _, err = tallycam(*words)
            assert code == 2 and "another tallycam is writing here" in err
            second.popen.send_signal(signal.SIGINT)
            code, _, err = second.finish()
    assert code == 0, err
    rows = sum(1 for key, *_ in events(out) if "/unique/" in key)
    assert rows == sum(summary(out)["unique"].values()) > 0
