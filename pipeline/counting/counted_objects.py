"""From tracks to counted objects: the object registry of one stream, with class names instead of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.config.schema import TrackerConfig
from pipeline.counting.counted_stream import among
from pipeline.counting.track_observations import TrackObservation
from pipeline.records.state import AttributeState
from pipeline.tracking.base import TrackingEngine
from pipeline.tracking.camera import CameraTransform
from pipeline.tracking.identities import CountedObject
from pipeline.tracking.objects import ObjectRegistry
from pipeline.tracking.observation import Observation
from pipeline.tracking.uncertainty import margin


@dataclass(frozen=True, slots=True)
class ObjectUpdate:
    """Observation of one counted object in one frame.

    Attributes:
        counted: the object.
        row: row of its instance in the message.
        class_name: its class by vote, including this frame.
        observations: in the order of time: the one of this frame; before it, where the frame has confirmed a track, all
            those that are kept of the track.
        new: whether the object is confirmed by this frame, as opposed to one that was known or was lost before.
        arriving: whether the track began in view while the stream was running.
    """

    counted: CountedObject
    row: int
    class_name: str
    observations: Sequence[Observation]
    new: bool = False
    arriving: bool = False


class CountedObjects(AttributeState):
    """The objects of one stream. Implements `rule.ObjectTable`.

    Args:
        config: how tracks become objects.
        tracker: notified when an object continues under another track.
        class_names: the model's class names; class ids are indices into them.
        wanted: classes that the stream counts; None: all.
        moving: whether the camera moves.
    """

    STATE = ("_registry", "_began_s")

    def __init__(
        self,
        config: TrackerConfig,
        tracker: TrackingEngine,
        class_names: Sequence[str],
        wanted: Iterable[str] | None,
        moving: bool,
    ) -> None:
        self._registry = ObjectRegistry(config, moving)
        self._tracker = tracker
        self._class_names = tuple(class_names)
        self._wanted = None if wanted is None else tuple(sorted(wanted))
        self._began_s: float | None = None

    def begin_frame(self, size: tuple[int, int], pts_s: float) -> None:
        """Starts the next frame.

        Args:
            size: Width and height, pixels.
            pts_s: Media time, seconds.
        """
        self._began_s = pts_s if self._began_s is None else self._began_s
        self._registry.frame(size, pts_s)

    def camera_transform(self, transform: CameraTransform) -> None:
        """Moves the positions of all objects with the camera.

        Args:
            transform: From pixels of the previous frame to pixels of this one.
        """
        self._registry.camera_transform(transform)

    def height_px(self, track: int, height_px: float) -> float:
        """Smoothed height of a track's object.

        Args:
            track: Track id.
            height_px: Height measured in this frame, pixels.
        """
        return self._registry.height_px(track, height_px)

    def observe(self, observed: Iterable[TrackObservation], now_s: float) -> list[ObjectUpdate]:
        """Assigns the tracks of one frame to objects; unconfirmed tracks yield no update.

        Args:
            observed: in the order of the tracker's matches.
            now_s: seconds of the stream's clock.
        """
        updates = []
        for one in observed:
            seen = self._registry.whole(one.track, one.observation)
            track = self._registry.observe(
                one.track, one.observation, one.speed_px_s, one.appearance, one.shadow, now_s
            )
            if track.object_id is not None:
                counted = self._registry.get(track.object_id)
                updates.append(ObjectUpdate(counted, one.row, self._name_of(counted), (seen,)))
                continue
            track.waiting[-1] = seen  # lines and zones follow the whole object, stitching what was seen of it
            confirmed = self._registry.confirm(one.track, now_s)
            if confirmed is None:
                continue
            new = confirmed.track == one.track
            if (
                not new
            ):  # a lost object continues under this track: its previous track must not be matched again
                self._tracker.forget(confirmed.track)
                confirmed.track = one.track
            arriving = self._began_s is not None and track.first.frame_time.pts_s > self._began_s
            past = tuple(track.waiting)
            track.waiting.clear()
            updates.append(ObjectUpdate(confirmed, one.row, self._name_of(confirmed), past, new, arriving))
        return updates

    def expired(self, now_s: float) -> list[int]:
        """Objects that were lost so long ago that no track can continue them.

        Args:
            now_s: Seconds of the stream's clock.

        Returns:
            Object ids.
        """
        return self._registry.expired(now_s)

    def lost(self, now_s: float) -> list[int]:
        """Active objects that are not observed in the current frame.

        Args:
            now_s: Seconds of the stream's clock at that frame.

        Returns:
            Object ids.
        """
        active = self._registry.active_ids()
        return [object_id for object_id in active if self._registry.get(object_id).last_s < now_s]

    def retire(self, object_id: int) -> CountedObject | None:
        """Decides the outcome of a lost object, and removes it.

        Args:
            object_id: An active object.

        Returns:
            The later object to which it was stitched, which now stands for both; None: it left.
        """
        later = self._registry.stitch_late(object_id)
        if later is None:
            self._registry.retire(object_id)
        return later

    @property
    def count(self) -> int:
        """Number of ids given so far: they run from 1 to this."""
        return self._registry.count

    def may_return(self, object_id: int) -> bool:
        """See `ObjectTable.may_return`."""
        return self._registry.may_return(object_id)

    def class_of(self, object_id: int) -> str:
        """See `ObjectTable.class_of`."""
        return self._name_of(self._registry.get(object_id))

    def unique(self) -> dict[str, int]:
        """As `ObjectTable.unique`."""
        return self._by_name(self._registry.unique())

    def ambiguous(self) -> dict[str, int]:
        """As `ObjectTable.ambiguous`."""
        return self._by_name(self._registry.doubt().ambiguous)

    def uncertain(self) -> dict[str, int]:
        """As `ObjectTable.uncertain`."""
        unique, doubt = self._registry.unique(), self._registry.doubt()
        classes = sorted(unique.keys() | doubt.variance.keys())
        return self._by_name({key: margin(doubt.variance[key], unique.get(key, 0)) for key in classes})

    def _name_of(self, counted: CountedObject) -> str:
        return self._class_names[counted.class_id]

    def _by_name(self, counts: dict[int, int]) -> dict[str, int]:
        """Class name -> number, for the classes that the stream counts, with 0 for those configured by name."""
        result = dict.fromkeys(self._wanted or (), 0)
        for class_id, count in sorted(counts.items()):
            if among(self._class_names[class_id], self._wanted):
                result[self._class_names[class_id]] = count
        return result
