"""Puts frames back into sequence that several workers have finished in any order."""

from __future__ import annotations

from pipeline.transport.messages import Instances


class Sequencer:
    """Puts frames back into sequence and leaves out those that come twice.

    Args:
        next_seq: First frame expected.
    """

    def __init__(self, next_seq: int) -> None:
        self.next_seq = next_seq
        self._early: dict[int, Instances] = {}

    def take(self, instances: Instances) -> list[Instances]:
        """Takes a frame in any order; duplicates are ignored.

        Args:
            instances: Of the frame.

        Returns:
            Frames that are now in sequence.
        """
        if instances.seq >= self.next_seq:
            self._early.setdefault(instances.seq, instances)
        ready: list[Instances] = []
        while (one := self._early.pop(self.next_seq, None)) is not None:
            ready.append(one)
            self.next_seq += 1
        return ready

    @property
    def waiting(self) -> int:
        """Frames that arrived ahead of sequence."""
        return len(self._early)
