"""Rule `unique`: how many different objects there were. `tracking/objects.py` decides what one object is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.metrics.series import Sample, Series
from pipeline.records.event import CountEvent
from pipeline.records.state import attributes, checkpointed, set_attributes
from pipeline.tracking.observation import Observation
from pipeline.transport.totals import Table


@checkpointed
@dataclass(slots=True)
class _Confirmed:
    """What is known of one object's event.

    Attributes:
        event: as it was when the object was confirmed.
        class_name: class by the vote so far.
        written: whether the event has been written at all.
        there: whether the database holds it now.
    """

    event: CountEvent
    class_name: str = ""
    written: bool = False
    there: bool = False


class UniqueObjects(CountingRule):
    """Counts objects by class, and keeps one event for each object that is counted, no more and no less.

    The count is a sum of decisions that may be revised: an object is stitched to one that was lost before, or the vote
    over its class changes. The events follow: they are withdrawn, or corrected.
    """

    all_classes = True  # the vote may change from a class that is not counted to one that is

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self._confirmed: dict[int, _Confirmed] = {}
        self._lost: dict[int, _Confirmed] = {}
        """Objects that are gone but may come back: they stood still when they were lost."""

    def confirm(self, object_id: int, class_name: str, observation: Observation) -> Iterable[CountEvent]:
        """See `CountingRule.confirm`."""
        confirmed = self._confirmed[object_id] = _Confirmed(self.event(object_id, class_name, observation))
        return self._of_class(confirmed, class_name)

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        """See `CountingRule.observe`."""
        confirmed = self._confirmed.get(object_id)
        if confirmed is None:
            confirmed = self._lost.pop(object_id, None)
            if confirmed is None:  # confirmed before the stream counted other classes, see `parts`
                return ()
            self._confirmed[object_id] = confirmed
        return () if confirmed.class_name == class_name else self._of_class(confirmed, class_name)

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        """See `CountingRule.stitch`."""
        older, newer = self._confirmed.pop(object_id, None), self._confirmed.get(later)
        if older is None or newer is None:  # as in `observe`
            return ()
        withdrawn = [newer.event.withdrawn()] if newer.there else []
        self._confirmed[later] = older
        return [*withdrawn, *self._of_class(older, self.stream.objects.class_of(later))]

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        """See `CountingRule.end`."""
        confirmed = self._confirmed.pop(object_id, None)
        if confirmed is None:
            return ()
        self._lost[object_id] = confirmed
        self._lost = {key: one for key, one in self._lost.items() if self.stream.objects.may_return(key)}
        return self._of_class(confirmed, class_name)

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`."""
        names = ("_confirmed", "_lost")
        content = StateOf(lambda: attributes(self, names), lambda state: set_attributes(self, names, state))
        return {"": RulePart(self.stream.config.classes, content)}

    def totals(self) -> Mapping[str, Any]:
        """`unique`: class -> objects; `uncertain`: class -> by how many that may be off, as in 34 ± 2; `doubtful`:
        class -> ambiguous decisions behind it."""
        objects = self.stream.objects
        unique = objects.unique()
        uncertain, ambiguous = objects.uncertain(), objects.ambiguous()
        return {
            "unique": unique,
            "uncertain": {**dict.fromkeys(unique, 0), **uncertain},
            "doubtful": {**dict.fromkeys(unique, 0), **ambiguous},
        }

    def series(self) -> Iterable[Series]:
        totals = self.totals()
        return tuple(
            Series(
                name,
                help_text,
                "gauge",
                ("class",),
                tuple(Sample((cls,), count) for cls, count in totals[key].items()),
            )
            for key, name, help_text in (
                ("unique", "tallycam_unique_objects", "Unique objects."),
                (
                    "uncertain",
                    "tallycam_unique_objects_uncertain",
                    "By how many the unique objects may be off.",
                ),
            )
        )

    def live(self) -> Mapping[str, str]:
        words = "  ".join(f"{cls} {count}" for cls, count in self._with_margins())
        return {"unique": words or "nothing yet"}

    def table(self) -> Iterable[Table]:
        return (Table(tuple(("unique objects", cls, count) for cls, count in self._with_margins())),)

    def drawn(self) -> Mapping[str, Any]:
        return {"unique": self.stream.objects.unique()}

    def _of_class(self, confirmed: _Confirmed, class_name: str) -> list[CountEvent]:
        """The change that an object's event needs now that the vote is for this class."""
        if confirmed.there and confirmed.class_name == class_name:
            return []
        confirmed.class_name = class_name
        if not self.stream.wanted(class_name):
            withdrawn = [confirmed.event.withdrawn()] if confirmed.there else []
            confirmed.there = False
            return withdrawn
        event = confirmed.event.corrected(class_name)
        if not confirmed.written:
            event = replace(event, change="new")
        confirmed.written = confirmed.there = True
        return [event]

    def _with_margins(self) -> list[tuple[str, str]]:
        """(class, `34 ± 2`), or the count alone where nothing is uncertain."""
        margins = self.stream.objects.uncertain()
        return [
            (cls, f"{count} ± {margins[cls]}" if margins.get(cls) else str(count))
            for cls, count in self.stream.objects.unique().items()
        ]
