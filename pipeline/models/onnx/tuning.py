"""Which provider and how many threads run a model fastest: measured once on a machine, and kept."""

from __future__ import annotations

import importlib.util
import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError, TallycamError
from pipeline.files import make_folder, write_text
from pipeline.models.onnx.image_input import ImageInput
from pipeline.models.onnx.session import OpenSession, Setting, open_session
from pipeline.models.processor import is_busy, processor_name, usable_cpus
from pipeline.models.published import cache_folder

log = logging.getLogger(__name__)

RUNS = 3
"""Timed runs of each setting, after one that is not. The fastest counts: others may need the cores meanwhile."""
WORTH = 0.9
"""A setting replaces the first one if it takes at most this share of its time."""
SLOW_S = 5.0
"""A model that takes longer for a run is not measured: a start should not take minutes."""
MAX_KEPT = 200
TOLERANCE = 1e-2
"""By how much outputs of two providers may differ, in shares of the largest value."""


def settings_file() -> Path:
    """Where the settings are kept that were found fastest."""
    return cache_folder().parent / "onnx-settings.json"


def known_setting(config: ModelConfig) -> Setting | None:
    """The setting that was found fastest for a model on this machine, None where it has not been measured.

    Args:
        config: the section `model`, with `path` set.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    kept = _kept().get(_key(config))
    if not isinstance(kept, dict):
        return None
    kind, threads = kept.get("kind"), kept.get("threads")
    if kind not in ("cpu", "openvino") or not isinstance(threads, int) or not 1 <= threads <= usable_cpus():
        return None
    return Setting(kind, threads)


def faster_session(config: ModelConfig, opened: OpenSession, input_: ImageInput) -> OpenSession:
    """The session with the setting that is fastest here, which is noted for the next time.

    A setting that cannot be used, or with which the outputs differ, is left out. On a machine that is busy with other
    work nothing is measured, this time.

    Args:
        config: the section `model`, with `path` set.
        opened: with the first setting, and what else might be faster.
        input_: of the model.
    """
    if is_busy():
        log.info("%s: the machine is busy; which setting is fastest is measured another time", config.path)
        return OpenSession(opened.session, opened.setting, opened.device)
    shape = input_.shape(input_.batch or 1, input_.hw)
    images = np.random.default_rng(0).random(shape, np.float32).astype(input_.dtype)
    feed = {input_.name: images if input_.has_batch else images[0]}
    began_s = time.perf_counter()
    expected = opened.session.run(None, feed)
    best = opened
    if time.perf_counter() - began_s < SLOW_S:
        best_s = _seconds(opened.session, feed)
        figures = {_words(opened.setting): best_s}
        limit_s = WORTH * best_s
        for setting in opened.choices:
            try:
                other = open_session(config, setting)
            except ModelError:
                continue
            if not _alike(expected, other.session.run(None, feed)):
                log.warning("%s: with %s its outputs differ; it is not used", config.path, _words(setting))
                continue
            figures[_words(setting)] = spent_s = _seconds(other.session, feed)
            if spent_s < min(limit_s, best_s):
                best, best_s = other, spent_s
        listed = ", ".join(f"{words} {1e3 * spent_s:.0f} ms" for words, spent_s in figures.items())
        log.info("%s: a run takes with %s; chosen: %s", config.path, listed, _words(best.setting))
    _keep(config, best.setting)
    return OpenSession(best.session, best.setting, best.device)


def _seconds(session: Any, feed: dict[str, NDArray[Any]]) -> float:
    times_s = []
    for _ in range(RUNS):
        began_s = time.perf_counter()
        session.run(None, feed)
        times_s.append(time.perf_counter() - began_s)
    return min(times_s)


def _alike(expected: list[Any], found: list[Any]) -> bool:
    """Whether the outputs of two sessions are those of one model."""
    return all(
        a.shape == b.shape
        and np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(a).max(initial=0)))
        for a, b in zip(expected, found, strict=True)
    )


def _words(setting: Setting) -> str:
    return f"{setting.kind} and {setting.threads} thread{'s' if setting.threads > 1 else ''}"


def _key(config: ModelConfig) -> str:
    """What a measurement depends on."""
    import onnxruntime

    assert config.path is not None
    about = config.path.stat()
    return " | ".join(
        map(
            str,
            (
                config.path.resolve(), about.st_size, about.st_mtime_ns, config.device, config.threads,
                config.precision, config.workers, usable_cpus(), processor_name(), onnxruntime.__version__,
                *onnxruntime.get_available_providers(),
            ),
        )
    )  # fmt: skip


def _kept() -> dict[str, Any]:
    try:
        kept = json.loads(settings_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep(config: ModelConfig, setting: Setting) -> None:
    kept = _kept()
    kept.pop(_key(config), None)
    newest = list(kept.items())[-MAX_KEPT + 1 :]
    chosen = {"kind": setting.kind, "threads": setting.threads}
    with suppress(TallycamError):  # where nothing can be kept it is measured each time
        make_folder(settings_file().parent)
        write_text(settings_file(), json.dumps(dict([*newest, (_key(config), chosen)]), indent=1) + "\n")
