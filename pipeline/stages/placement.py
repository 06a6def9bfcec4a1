"""Which process serves which stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.config.schema import Config
from pipeline.sinks.sink_table import wants_frames


@dataclass(frozen=True, slots=True)
class Placement:
    """Which process serves which stream. A stream keeps its place while others are added and removed.

    Attributes:
        numbers: Stream -> its number, which names its socket; one that was removed keeps it.
        trackers: Number of tracking processes.
        first: Number of streams with which the command began.
        sinks: Whether anything takes the frames of the streams. If not, they have no `sink` process: a frame leaves
            the pipeline when it is counted.
    """

    numbers: Mapping[str, int]
    trackers: int
    first: int
    sinks: bool = True

    @classmethod
    def of(cls, config: Config) -> Placement:
        """The places at the start of a run.

        Args:
            config: Of the run.
        """
        numbers = {name: number for number, name in enumerate(config.streams)}
        trackers = min(config.tracker.workers, len(numbers))
        return cls(numbers, trackers, len(numbers), wants_frames(config))

    def following(self, config: Config) -> Placement:
        """The places after a change: new streams get the next numbers.

        Args:
            config: Of the run from now on.
        """
        new = [name for name in config.streams if name not in self.numbers]
        added = {name: len(self.numbers) + place for place, name in enumerate(new)}
        return replace(self, numbers={**self.numbers, **added})

    def tracker_of(self, stream: str) -> int:
        """Number of the tracking process of a stream.

        Args:
            stream: Its name.
        """
        return self.numbers[stream] % self.trackers

    def port_offset(self, stage: str, index: int, config: Config) -> int:
        """Place of the metrics port of a process among those of the run: processes of the start come first.

        Args:
            stage: Of the process.
            index: Its number.
            config: Of the run.
        """
        shared = config.model.workers + self.trackers
        late = 2 * self.first + shared + 2 * (index - self.first)
        match stage:
            case "segment":
                return self.first + index
            case "track":
                return self.first + config.model.workers + index
            case "decode":
                return index if index < self.first else late
            case _:
                return self.first + shared + index if index < self.first else late + 1
