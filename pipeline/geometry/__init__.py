"""Plane geometry and masks: pure functions on arrays."""
