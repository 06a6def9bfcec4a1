"""`tallycam demo`: counts a rendered street and compares every count with the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.demo.clip import DEMO_TRUTH, DEMO_VIDEO, write_clip
from pipeline.demo.scene.world import Scene
from pipeline.errors import ConfigError
from pipeline.files import make_folder
from pipeline.records.scene_truth import SceneTruth, read_truth
from pipeline.records.summary import write_json
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.results import StreamView
from pipeline.runtime.run import run
from pipeline.runtime.run_files import read_earlier_run
from pipeline.runtime.run_folder import Existing

STREAM = "demo"
SCORE = 0.8
"""Instances below this score are ignored: the bundled model is confident about scenes like those it was trained on."""


@dataclass(frozen=True, slots=True)
class Score:
    """One count and its truth.

    Attributes:
        kind: `unique`, `line` or `zone`.
        what: name of the line or zone; empty for `unique`.
        class_name: of the objects counted.
        direction: at a line; `entries` for a zone; empty for `unique`.
        counted, true: the count and the truth.
    """

    kind: str
    what: str
    class_name: str
    direction: str
    counted: int
    true: int

    @property
    def off(self) -> int:
        return abs(self.counted - self.true)


def configuration(truth: SceneTruth, video: Path) -> Config:
    """The configuration that counts the lines and zones of a rendered scene with the bundled model.

    Args:
        truth: What is true of the scene.
        video: The rendered clip.
    """
    lines = {
        line.name: {"points": line.points, "classes": line.classes, "directions": line.directions}
        for line in truth.layout.lines
    }
    zones = {zone.name: {"points": zone.polygon, "classes": zone.classes} for zone in truth.layout.zones}
    stream = {"source": str(video), "lines": lines, "zones": zones}
    return Config.model_validate({"model": {"score": SCORE}, "streams": {STREAM: stream}})


def prepare(seed: int | None, out: Path) -> tuple[Path, SceneTruth]:
    """Provides a clip and its truth.

    Args:
        seed: of the scene to render; None takes the bundled clip.
        out: folder for a rendered clip.

    Returns:
        Path of the video, and the truth.

    Raises:
        OutputError: `out` cannot be written.
    """
    if seed is None:
        return DEMO_VIDEO, read_truth(DEMO_TRUTH)
    video, truth = out / f"scene-{seed}.mp4", out / f"scene-{seed}-truth.json.gz"
    make_folder(out, "give another folder with --out")
    return video, write_clip(Scene.from_seed(seed), video, truth)


def demo(
    video: Path, truth: SceneTruth, out: Path, on_tick: Callable[[list[ProcessState]], None]
) -> tuple[StreamView, list[Score]]:
    """Runs the pipeline on a clip, and writes the scores of its counts to `DIR/demo.json`.

    An earlier demo in the folder is replaced without being asked for: it can be made again at any time.

    Args:
        video: the clip.
        truth: of the clip.
        out: folder of the run.
        on_tick: see `pipeline.runtime.run.run`.

    Returns:
        The run's view of the stream, and the scores.

    Raises:
        ConfigError: the folder holds a run that is not a demo.
    """
    earlier = read_earlier_run(out)
    if earlier is not None and set(earlier.streams) != {STREAM}:
        raise ConfigError(f"{out}: holds {earlier}, which is not a demo; give another folder with --out")
    view = run(configuration(truth, video), out, existing=Existing.OVERWRITE, on_tick=on_tick)[STREAM]
    scores = compare(view.counts.summary, truth)
    write_json(out / "demo.json", [asdict(score) for score in scores])
    return view, scores


def compare(counts: Mapping[str, Any], truth: SceneTruth) -> list[Score]:
    """Pairs every count with its truth, including classes that occur in only one of them.

    Args:
        counts: of the stream, as in `summary.json`.
        truth: of the scene.
    """
    unique, lines, zones = (counts.get(key, {}) for key in ("unique", "lines", "zones"))
    scores = [
        Score("unique", "", cls, "", unique.get(cls, 0), truth.unique.get(cls, 0))
        for cls in sorted({*unique, *truth.unique})
    ]
    for line in sorted({*lines, *truth.lines}):
        counted, true = lines.get(line, {}), truth.lines.get(line, {})
        for cls in sorted({*counted, *true}):
            for direction in sorted({*counted.get(cls, {}), *true.get(cls, {})}):
                found = counted.get(cls, {}).get(direction, 0), true.get(cls, {}).get(direction, 0)
                scores.append(Score("line", line, cls, direction, *found))
    for zone in sorted({*zones, *truth.zones}):
        inside, entered = zones.get(zone, {}), truth.zones.get(zone, {})
        for cls in sorted({*inside, *entered}):
            entries = int(inside.get(cls, {}).get("entries", 0))
            scores.append(Score("zone", zone, cls, "entries", entries, entered.get(cls, 0)))
    return scores


def speed(view: StreamView, truth: SceneTruth) -> float:
    """Speed of counting relative to real time.

    Args:
        view: What was counted.
        truth: What is true of the scene.
    """
    return view.pace.fps / truth.fps


def verdict(scores: list[Score], ratio: float) -> str:
    """Summarises the scores in one line, which `tallycam demo` prints last.

    Args:
        scores: Counts beside the truth.
        ratio: Speed, from `speed`.
    """
    sums = {kind: [0, 0] for kind in ("unique", "line", "zone")}
    for score in scores:
        sums[score.kind][0] += score.counted
        sums[score.kind][1] += score.true
    words = {"unique": "unique objects", "line": "line crossings", "zone": "zone entries"}
    counted = ", ".join(f"{numbers[0]} {words[kind]}" for kind, numbers in sums.items())
    true = ", ".join(f"{numbers[1]} {words[kind]}" for kind, numbers in sums.items())
    off = sum(score.off for score in scores)
    right = "every count is right" if off == 0 else f"the counts are off by {off}"
    return f"{right} ({ratio:.1f} x real time); counted {counted}; true {true}"
