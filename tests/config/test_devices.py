"""`model.devices`: which worker runs on which GPU."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.config.model import ModelConfig


def devices_of(config: ModelConfig) -> list[str]:
    return [config.of_worker(index).device for index in range(config.workers)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["auto"]),
        ({"device": "cuda:3", "workers": 2}, ["cuda:3", "cuda:3"]),
        ({"devices": [1]}, ["cuda:1"]),
        ({"devices": [0, 2]}, ["cuda:0", "cuda:2"]),
        ({"devices": [0, 2], "workers": 4}, ["cuda:0", "cuda:2", "cuda:0", "cuda:2"]),
        ({"device": "tensorrt", "devices": [0, 1]}, ["tensorrt:0", "tensorrt:1"]),
    ],
)
def test_each_gpu_has_a_worker(given: dict[str, object], expected: list[str]) -> None:
    config = ModelConfig.model_validate(given)
    assert devices_of(config) == expected
    assert devices_of(ModelConfig.model_validate(config.model_dump())) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"devices": [0, 0]}, r"got \[0, 0\], expected the numbers of different GPUs"),
        ({"devices": [-1]}, "from 0"),
        ({"devices": [0, 1], "workers": 1}, "workers: got 1 for 2 devices"),
        ({"devices": [0], "device": "cpu"}, "device is cpu: leave one of them out"),
        ({"devices": [0, 1], "device": "cuda:0"}, "device is cuda:0"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ModelConfig.model_validate(given)
