"""Geometry of points, lines, polygons, boxes and masks: pure functions on arrays."""
