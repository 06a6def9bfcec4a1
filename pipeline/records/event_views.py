"""Views of the events database, for reports: counts by hour, and when a camera could not see."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

_COUNTS = """SELECT run, stream, {hour} AS hour, kind, name, class_name, direction, count(*) AS count
FROM events WHERE kind <> 'camera' GROUP BY run, stream, {hour}, kind, name, class_name, direction"""

_FAULTS = """SELECT b.run, b.stream, b.name AS condition, b.time AS began,
(SELECT min(e.time) FROM events e WHERE e.run = b.run AND e.stream = b.stream AND e.kind = 'camera'
AND e.name = b.name AND e.direction = 'ended' AND e.time >= b.time) AS ended
FROM events b WHERE b.kind = 'camera' AND b.direction = 'began'"""

_UNTIL = """coalesce(f.ended,
(SELECT max(e.time) FROM events e WHERE e.run = f.run AND e.stream = f.stream))"""
"""The end of a fault; of one that goes on, the last event of the stream."""

_SQLITE_FAULTS_BY_HOUR = """WITH RECURSIVE part (run, stream, condition, began, ended, hour) AS (
SELECT f.run, f.stream, f.condition, f.began, {until}, strftime('%Y-%m-%d %H:00:00', f.began) FROM camera_faults f
UNION ALL SELECT run, stream, condition, began, ended, datetime(hour, '+1 hour') FROM part
WHERE datetime(hour, '+1 hour') < ended)
SELECT run, stream, hour, condition, sum(round(86400 * (julianday(min(ended, datetime(hour, '+1 hour')))
- julianday(max(began, hour))), 3)) AS seconds FROM part GROUP BY run, stream, hour, condition"""

_POSTGRESQL_FAULTS_BY_HOUR = """SELECT f.run, f.stream, hour, f.condition,
sum(extract(epoch FROM least({until}, hour + interval '1 hour') - greatest(f.began, hour))) AS seconds
FROM camera_faults f, generate_series(date_trunc('hour', f.began), {until}, interval '1 hour') AS hour
GROUP BY f.run, f.stream, hour, f.condition"""

VIEWS = {
    "sqlite": {
        "counts_by_hour": _COUNTS.format(hour="strftime('%Y-%m-%d %H:00:00', time)"),
        "camera_faults": _FAULTS,
        "camera_faults_by_hour": _SQLITE_FAULTS_BY_HOUR.format(until=_UNTIL),
    },
    "postgresql": {
        "counts_by_hour": _COUNTS.format(hour="date_trunc('hour', time)"),
        "camera_faults": _FAULTS,
        "camera_faults_by_hour": _POSTGRESQL_FAULTS_BY_HOUR.format(until=_UNTIL),
    },
}
"""Database -> name of each view -> its query. Hours are those of UTC, as `time` is stored."""


def create_views(connection: Connection, database: str) -> None:
    """Creates the views, and replaces those of an earlier version.

    Args:
        connection: In a transaction.
        database: `sqlite` or `postgresql`.
    """
    for statement in _statements(connection, database):
        connection.execute(text(statement.replace(":", r"\:")))


def _statements(connection: Connection, database: str) -> Iterator[str]:
    if database == "postgresql":
        yield from (f"CREATE OR REPLACE VIEW {name} AS {query}" for name, query in VIEWS[database].items())
        return
    found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    there: dict[str, str] = {str(name): str(sql) for name, sql in found}
    for name, query in VIEWS[database].items():
        wanted = f"CREATE VIEW {name} AS {query}"
        if there.get(name) == wanted:
            continue
        if name in there:
            yield f"DROP VIEW {name}"
        yield wanted
