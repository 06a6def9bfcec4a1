"""Messages between processes, over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.transport.messages import Accepted, Released
from pipeline.transport.sockets import DealerSocket, Poller, RouterSocket


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/hub"


def test_messages_sent_together_arrive_in_order_whichever_way_they_go(endpoint: str) -> None:
    with RouterSocket(endpoint) as router, DealerSocket(endpoint, "track/0#0") as peer:
        sent = [Accepted(stream="gate", seq=seq) for seq in range(5)]
        assert peer.send(*sent)
        assert Poller([router]).wait(5.0)
        came = list(router.receive_all())
        assert [who for who, _ in came] == [b"track/0#0"] * 5
        assert [repr(message) for _, message in came] == [repr(message) for message in sent]
        back = [Released(stream="gate", seq=1), Accepted(stream="gate", seq=7)]
        assert router.send(b"track/0#0", *back)
        assert Poller([peer]).wait(5.0)
        assert [repr(message) for message in peer.receive_all()] == [repr(message) for message in back]


def test_who_asks_when_nothing_is_there_does_not_wait(endpoint: str) -> None:
    with RouterSocket(endpoint) as router, DealerSocket(endpoint, "sink/gate#0") as peer:
        assert list(router.receive_all()) == []
        assert list(peer.receive_all()) == []
        assert not Poller([router, peer]).wait(0.0)


def test_a_peer_that_nobody_has_heard_of_is_told_apart(endpoint: str) -> None:
    with RouterSocket(endpoint) as router:
        assert not router.send(b"segment/0#0", Released(stream="gate", seq=1))


@pytest.mark.parametrize(("asked_s", "polled_ms"), [(0.0005, 1), (0.02, 20), (0.0, 0), (-1.0, 0)])
def test_a_short_wait_is_a_wait_and_not_a_spin(
    monkeypatch: pytest.MonkeyPatch, asked_s: float, polled_ms: int
) -> None:
    poller, waited = Poller([]), list[int]()

    class Waiting:
        def poll(self, timeout_ms: int) -> list[object]:
            waited.append(timeout_ms)
            return []

    monkeypatch.setattr(poller, "_poller", Waiting())
    assert not poller.wait(asked_s)
    assert waited == [polled_ms]
