"""What of a changed configuration may take effect while a run goes on: its streams, and nothing else."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.models import registry
from pipeline.models.filters import lowest_score
from pipeline.runtime.continuation import matters, named, setting_changes
from pipeline.runtime.preflight import check, check_source
from pipeline.runtime.run_files import read_earlier_run, stream_files
from pipeline.runtime.run_folder import check_videos
from pipeline.video.sources.kinds import is_recording
from pipeline.video.sources.recording_time import RecordingTime, with_recording_times

_AGAIN = "the rest takes effect when the run is started again"


class StreamChanges:
    """Accepts or refuses what is read from the configuration file of a run, one after the other.

    Args:
        written: The configuration as it was read.
        config: With which the run began: with the times of recordings.
        recorded: Stream -> when it was recorded; that of new ones is added.
        out: Folder of the run.
        tracks: Whether the run writes rows of tracks.
    """

    def __init__(
        self,
        written: Config,
        config: Config,
        recorded: dict[str, RecordingTime],
        out: Path,
        *,
        tracks: bool = False,
    ) -> None:
        self._written, self._config = written, config
        self._recorded, self._out, self._tracks = recorded, out, tracks

    def accept(self, read: Config) -> Config:
        """The configuration with which the run is to go on.

        Args:
            read: As it was read.

        Raises:
            TallycamError: As `check_changes`; the run writes rows of tracks.
        """
        now = read.model_copy(update={"model": registry.chosen(read.model)})
        before = self._written
        check_changes(before, now, self._out)
        if self._tracks and now.streams != before.streams:
            raise ConfigError(
                f"--tracks: streams cannot be changed while rows of tracks are written; {_AGAIN}"
            )
        new = {name: one for name, one in now.streams.items() if before.streams.get(name) != one}
        changed, recorded = with_recording_times(now.model_copy(update={"streams": new}))
        streams = {name: changed.streams.get(name) or self._config.streams[name] for name in now.streams}
        self._written, self._config = now, self._config.model_copy(update={"streams": streams})
        self._recorded.update(recorded)
        return self._config


def check_changes(before: Config, now: Config, out: Path) -> None:
    """Checks that a run may go on with the streams of another configuration.

    Args:
        before: Of the run.
        now: The other one.
        out: Folder of the run.

    Raises:
        ConfigError: Something else than streams has changed, or what is counted in a recording that goes on; or a new
            stream would replace files that are not of the run.
        ModelError: The model lacks a class.
        SourceError: A new source on disk cannot be opened.
    """
    changed = setting_changes(before, now)
    if other := [key for key in changed if not key.startswith("streams.")]:
        raise ConfigError(
            f"{named(other)} changed: only streams can be changed while a run goes on; {_AGAIN}"
        )
    new = [name for name, stream in now.streams.items() if before.streams.get(name) != stream]
    for name in before.streams.keys() & set(new):
        recording = is_recording(before.streams[name]) or is_recording(now.streams[name])
        if recording and (mattering := [key for key in changed if matters(key, name)]):
            raise ConfigError(
                f"{named(mattering)} changed: a recording is counted with one configuration from its first frame to "
                "its last; give the stream another name, or start the run again"
            )
    check(now)
    lowest = lowest_score(before.model, list(before.streams.values()))
    for name in new:
        if lowest_score(now.model, [now.streams[name]]) < lowest:
            raise ConfigError(
                f"streams.{name}.filter.scores: {lowest:g} is the lowest score for which the model was loaded; {_AGAIN}"
            )
        check_source(name, now.streams[name])
    check_videos(now, out)
    earlier = read_earlier_run(out)
    for name in new:
        if earlier is not None and name in earlier.streams:
            continue  # it was removed, and goes on
        if found := [path for path in stream_files(out, name) if path.exists()]:
            raise ConfigError(f"{found[0]}: is in the way of stream {name}, and not of this run; move it")
