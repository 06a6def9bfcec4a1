"""A counting rule of somebody else's: one file, one entry point, and its counts are wherever counts are."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from sqlalchemy import create_engine, text

from pipeline.cli.table import final_table
from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting import rule_table
from pipeline.counting.counter import StreamCounter
from pipeline.counting.rule_table import RULES, RuleKind, check_rules
from pipeline.errors import ConfigError
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.runtime.results import StreamView
from tests.counting.counting_scenes import CLASSES, UPRIGHT, Outcome, Thing, play, walk
from tests.running import scene, summary, tallycam

PLUGIN = '''
"""Objects that are seen for longer than they should be."""

from collections import Counter

from pipeline.config.fields import ConfigModel
from pipeline.counting.rule import CountingRule
from pipeline.metrics.series import Sample, Series
from pipeline.transport.totals import Table


class LongStays(CountingRule):
    class Settings(ConfigModel):
        after_s: float = 1.0

    def __init__(self, stream, name, settings):
        super().__init__(stream, name, settings)
        self.since_s = {}
        self.counts = Counter()
        self.crossings = 0

    def observe(self, object_id, class_name, observation, arriving):
        now_s = observation.frame_time.pts_s
        began_s = self.since_s.setdefault(object_id, now_s)
        if began_s is not None and now_s - began_s >= self.settings.after_s:
            self.since_s[object_id] = None  # counted
            self.counts[class_name] += 1
            yield self.event(object_id, class_name, observation, direction="over", dwell_s=now_s - began_s)

    def end(self, object_id, class_name):
        self.since_s.pop(object_id, None)
        return ()

    def on_event(self, event):
        self.crossings += event.kind == "line"

    def totals(self):
        return {"stays": dict(self.counts), "crossings": self.crossings}

    def series(self):
        samples = tuple(Sample((self.name, cls), count) for cls, count in self.counts.items())
        yield Series("tallycam_long_stays", "Objects that stayed long.", "counter", ("rule", "class"), samples)

    def live(self):
        return {self.name: " ".join(f"{cls} {count}" for cls, count in self.counts.items())}

    def table(self):
        yield Table(tuple((self.name, cls, str(count)) for cls, count in self.counts.items()))


class Numbers(CountingRule):
    """Takes any settings."""

    def totals(self):
        import numpy

        return {"given": self.settings, "sum": numpy.float32(1.5)}


class Fragile(LongStays):
    """Divides by zero in frame 20."""

    def observe(self, object_id, class_name, observation, arriving):
        1 / (observation.frame_time.index - 20)
        return None


class Talkative(CountingRule):
    """Returns texts where events are expected."""

    def confirm(self, object_id, class_name, observation):
        return ["somebody came"]


not_a_rule = 7
'''

ENTRIES = """[tallycam.rules]
long_stays = long_stays:LongStays
numbers = long_stays:Numbers
broken = long_stays:Missing
seven = long_stays:not_a_rule
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed package `long-stays`, as pip leaves it, on Python's path."""
    folder = tmp_path / "site-packages"
    info = folder / "long_stays-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: long-stays\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (folder / "long_stays.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "long_stays", raising=False)
    return folder


def with_rules(**rules: Any) -> StreamConfig:
    return StreamConfig.model_validate({"source": "scene", "lines": {"line": UPRIGHT}, "rules": rules})


def counter(**rules: Any) -> StreamCounter:
    return StreamCounter("gate", with_rules(**rules), TrackerConfig(), CLASSES)


def walked(subject: StreamCounter) -> Outcome:
    """A person crosses the line in three seconds; a car is there for half a second only."""
    frames = walk([(200, 300), (440, 300)], [3])
    return play(
        subject,
        [[*frame, *([Thing((80, 200), class_id=2)] if n < 15 else [])] for n, frame in enumerate(frames)],
    )


def refused(**rules: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        check_rules("gate", with_rules(**rules))
    assert str(caught.value).startswith("streams.gate.rules.")
    return str(caught.value)


def test_its_totals_events_metrics_and_rows_are_there(plugin: Path) -> None:
    subject = counter(long_stays={"after_s": 2})
    outcome = walked(subject)
    assert outcome.totals["rules"] == {"long_stays": {"stays": {"person": 1}, "crossings": 1}}
    (event,) = (one for one in outcome.events if one.kind == "long_stays")
    assert (event.class_name, event.direction, event.dwell_s) == ("person", "over", 2.0)
    assert event.key == "gate/0/50/long_stays//1/over"
    metrics = StageMetrics("track")
    metrics.counts("gate", subject.totals().series)
    assert 'tallycam_long_stays_total{class="person",rule="long_stays",stream="gate"} 1.0' in metrics.text()
    assert subject.totals().live["long_stays"] == "person 1"
    console = Console(width=100)
    with console.capture() as capture:
        console.print(final_table({"gate": StreamView(counts=subject.totals())}))
    assert "long_stays" in capture.get()


def test_without_its_settings_it_has_its_defaults_and_built_in_counts_do_not_change(plugin: Path) -> None:
    alone, beside = walked(counter()), walked(counter(long_stays=None))
    assert beside.totals.pop("rules")["long_stays"]["stays"] == {"person": 1}
    assert beside.totals == alone.totals
    assert [one for one in beside.events if one.kind == "line"] == alone.events


def test_a_rule_that_fails_is_left_out_and_everything_else_is_counted(
    plugin: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subject = counter(
        fragile={"use": "long_stays:Fragile"},
        talkative={"use": "long_stays:Talkative"},
        stays={"use": "long_stays", "after_s": 2},
    )
    alone, outcome = walked(counter()), walked(subject)
    rules = outcome.totals.pop("rules")
    why = "observe() failed at frame 20: ZeroDivisionError: division by zero"
    assert rules["fragile"] == {"failed": why}
    assert "expected events (self.event(...))" in rules["talkative"]["failed"]
    assert rules["stays"] == {"stays": {"person": 1}, "crossings": 1}
    assert outcome.totals == alone.totals
    (told,) = (one for one in caplog.records if "fragile" in one.getMessage())
    assert told.getMessage().startswith(
        f"streams.gate.rules.fragile (long_stays:Fragile): {why}; the rule is left"
    )
    assert vars(told)["shown"] is True

    restored = counter(fragile={"use": "long_stays:Fragile"})
    restored.restore(
        {
            name: state
            for name, (_, state) in subject.sections().items()
            if not name.startswith(("stays", "talkative"))
        }
    )
    assert restored.summary()["rules"]["fragile"] == {"failed": why}


def test_one_rule_may_be_used_twice_with_other_settings(plugin: Path) -> None:
    subject = counter(short={"use": "long_stays", "after_s": 0.2}, long={"use": "long_stays", "after_s": 2})
    rules = walked(subject).totals["rules"]
    assert rules["short"]["stays"] == {"person": 1, "car": 1}
    assert rules["long"]["stays"] == {"person": 1}
    StageMetrics("track").counts("gate", subject.totals().series)


def test_a_rule_by_its_import_path_needs_no_package(plugin: Path) -> None:
    outcome = walked(counter(anything={"use": "long_stays:Numbers", "a": 1, "b": [2]}))
    assert outcome.totals["rules"] == {"anything": {"given": {"a": 1, "b": [2]}, "sum": 1.5}}


def test_a_row_of_the_table_is_all_that_a_rule_needs(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = RuleKind("stays", "long_stays:LongStays")
    monkeypatch.setattr(rule_table, "RULES", (*RULES, row))
    assert walked(counter(stays={"after_s": 2})).totals["rules"]["stays"]["stays"] == {"person": 1}


def test_an_unknown_rule_names_the_nearest_known_one(plugin: Path) -> None:
    assert "there is no counting rule `long_stay` (known: " in refused(long_stay={})
    assert "did you mean `long_stays`?" in refused(long_stay={})
    assert "(known: broken, long_stays, numbers, seven);" in refused(queues={})
    assert "`use: package.module:Class`" in refused(queues={})


def test_an_unknown_or_wrong_setting_is_one_line(plugin: Path) -> None:
    assert refused(long_stays={"afters": 3}).endswith("unknown key `afters`; did you mean `after_s`?")
    assert refused(long_stays={"after_s": "x"}).endswith("after_s: expected a number, got 'x'")


def test_what_is_no_rule_is_refused(plugin: Path) -> None:
    assert "long_stays:Missing is no counting rule" in refused(broken={})
    assert "long_stays:not_a_rule is no counting rule" in refused(seven={})
    assert "nowhere cannot be imported: No module named 'nowhere'" in refused(x={"use": "nowhere:Rule"})


@pytest.mark.parametrize("name", ["lines", "unique", "zone"])
def test_names_of_what_is_built_in_are_taken(name: str) -> None:
    assert f"`{name}` is built in" in refused(**{name: {}})


def test_the_rules_in_the_documentation_work_as_they_are_shown(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (root / "docs" / "counting-rules.md").read_text(encoding="utf-8")
    code, crowd = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    by_path, by_entry = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    (tmp_path / "long_stays.py").write_text(code)
    (tmp_path / "crowd.py").write_text(crowd)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, ""])
    monkeypatch.delitem(sys.modules, "long_stays", raising=False)
    loitering = by_path["streams"]["gate"]["rules"]["loitering"]
    assert by_entry["rules"]["long_stays"] == {"after_s": loitering["after_s"]}
    subject = counter(loitering=loitering | {"after_s": 2}, crowd={"use": "crowd:Crowd"})
    outcome = walked(subject)
    assert outcome.totals["rules"] == {"loitering": {"person": 1}, "crowd": {"most": 2}}
    assert [one.kind for one in outcome.events] == ["line", "loitering"]
    StageMetrics("track").counts("gate", subject.totals().series)


def test_a_mistake_is_found_before_a_run_starts(plugin: Path, tmp_path: Path) -> None:
    config = scene(tmp_path, 5, rules={"long_stayz": {}})
    code, _, errors = tallycam("check", config)
    assert code == 2
    assert errors.count("\n") == 1
    assert "streams.gate.rules.long_stayz: there is no counting rule `long_stayz`" in errors


def test_a_run_counts_with_a_rule_of_another_package(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{plugin}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    config = scene(tmp_path, 100, rules={"long_stays": {"after_s": 2}})
    out = tmp_path / "out"
    code, shown, errors = tallycam("run", config, "--out", out, "--set", "output.video.codec=none")
    assert code == 0, errors
    counted = summary(out)["rules"]["long_stays"]["stays"]["person"]
    assert counted > 2
    assert any("long_stays" in line and f" {counted} " in line for line in shown.splitlines())
    with create_engine(f"sqlite:///{out / 'events.db'}").connect() as connection:
        kinds = dict(connection.execute(text("select kind, count(*) from events group by kind")).all())
    assert kinds["long_stays"] == counted
    assert kinds["unique"] == sum(summary(out)["unique"].values())
