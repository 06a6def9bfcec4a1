"""Frames in shared memory: seen by other processes, gone when the last one is."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.transport.planes import Planes
from pipeline.transport.ring import Ring, RingError


def noise(width: int, height: int) -> Planes:
    rng = np.random.default_rng(width * height)
    return Planes.from_rgb(rng.integers(0, 256, (height, width, 3), np.uint8))


def put(ring: Ring, slot: int, frame: Planes, epoch: int, seq: int) -> None:
    planes = ring.open_slot(slot)
    planes.y[:], planes.u[:], planes.v[:] = frame.y, frame.u, frame.v
    ring.publish(slot, epoch, seq)


def test_memory_of_a_slot_is_given_back_and_the_slot_can_be_written_again() -> None:
    frame = noise(640, 360)
    with Ring.create(3, 640, 360) as ring:
        memory = Path(ring.path)
        for slot in range(3):
            put(ring, slot, frame, 0, slot)
        full = memory.stat().st_blocks
        ring.discard(1)
        assert full - memory.stat().st_blocks >= 640 * 360 * 3 // 2 // 512
        assert ring.find(1) is None
        assert ring.find(2) == 2
        put(ring, 1, frame, 0, 7)
        assert np.array_equal(ring.planes(1).y, frame.y)
        assert memory.stat().st_blocks == full


@pytest.mark.parametrize(("width", "height"), [(640, 360), (641, 361), (1, 1), (3, 2)])
def test_a_reader_sees_the_planes_that_were_written(width: int, height: int) -> None:
    frame = noise(width, height)
    with Ring.create(3, width, height) as ring:
        put(ring, 1, frame, 0, 42)
        with Ring.attach(ring.path) as reader:
            slot = reader.find(42)
            assert slot == 1
            planes = reader.planes(slot)
            assert np.array_equal(planes.y, frame.y)
            assert np.array_equal(planes.u, frame.u)
            assert np.array_equal(planes.v, frame.v)
            del planes


def test_a_reader_cannot_write() -> None:
    with Ring.create(1, 8, 8) as ring, Ring.attach(ring.path) as reader:
        planes = reader.planes(0)
        with pytest.raises(ValueError, match="read-only"):
            planes.y[0, 0] = 1
        del planes


def test_who_draws_writes_where_the_frame_lies() -> None:
    with Ring.create(2, 9, 7) as ring, Ring.attach(ring.path, draw=True) as reader:
        reader.pixels(1)[:] = 7
        planes = ring.planes(1)
        assert (planes.y == 7).all()
        assert (planes.v == 7).all()
        assert not (ring.planes(0).y == 7).any()
        del planes


def test_a_frame_that_is_replaced_while_it_is_read_is_noticed() -> None:
    frame = noise(16, 16)
    with Ring.create(2, 16, 16) as ring, Ring.attach(ring.path) as reader:
        put(ring, 0, frame, 0, 5)
        assert reader.holds(0, 0, 5)
        ring.open_slot(0)
        assert not reader.holds(0, 0, 5)
        assert reader.find(5) is None
        put(ring, 0, frame, 1, 5)
        assert not reader.holds(0, 0, 5), "the same number of another epoch is another frame"


def test_another_process_reads_the_ring_by_its_path() -> None:
    with Ring.create(2, 64, 32) as ring:
        put(ring, 1, noise(64, 32), 0, 7)
        code = (
            "import sys; from pipeline.transport.ring import Ring; r = Ring.attach(sys.argv[1]);"
            "print(r.find(7), int(r.planes(1).y.sum()))"
        )
        out = subprocess.run(
            [sys.executable, "-c", code, ring.path], capture_output=True, text=True, check=True
        ).stdout
        assert out.split() == ["1", str(int(noise(64, 32).y.sum()))]


def test_a_ring_whose_decoder_is_gone_says_so() -> None:
    with pytest.raises(RingError, match="the ring is gone"):
        Ring.attach("/proc/1/fd/999999")


def test_memory_that_is_no_ring_is_refused() -> None:
    descriptor = os.memfd_create("other")
    os.write(descriptor, b"x" * 100)
    with pytest.raises(RingError, match="not a ring"):
        Ring.attach(f"/proc/{os.getpid()}/fd/{descriptor}")
    os.close(descriptor)


def test_closing_gives_the_descriptors_back() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with Ring.create(2, 64, 64) as ring, Ring.attach(ring.path):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
