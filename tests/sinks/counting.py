"""Counts what goes wrong with a sink, as its metrics do."""

from __future__ import annotations


class Counts:
    def __init__(self) -> None:
        self.failures = self.losses = 0

    def failed(self) -> None:
        self.failures += 1

    def lost(self, number: int) -> None:
        self.losses += number
