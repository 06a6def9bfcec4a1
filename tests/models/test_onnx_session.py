"""Which of ONNX Runtime's execution providers is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.models.onnx.session import choose_devices, provider_options

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT, OPENVINO = "TensorrtExecutionProvider", "OpenVINOExecutionProvider"


@pytest.mark.parametrize(
    ("device", "available", "kinds", "number"),
    [
        ("auto", [CPU], ["cpu"], 0),
        ("auto", [OPENVINO, CPU], ["openvino", "cpu"], 0),
        ("auto", [TENSORRT, CUDA, CPU], ["cuda", "cpu"], 0),
        ("cpu", [CUDA, OPENVINO, CPU], ["cpu"], 0),
        ("cuda:3", [CUDA, CPU], ["cuda", "cpu"], 3),
        ("tensorrt:1", [TENSORRT, CUDA, CPU], ["tensorrt", "cuda", "cpu"], 1),
        ("openvino", [OPENVINO, CPU], ["openvino", "cpu"], 0),
    ],
)
def test_the_best_device_that_is_there_comes_first(
    device: str, available: list[str], kinds: list[str], number: int
) -> None:
    assert choose_devices(device, available) == (kinds, number)


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "cpu:0", "openvino:1", "auto:0"])
def test_what_is_no_device_is_told_with_those_there_are(device: str) -> None:
    with pytest.raises(ModelError, match=r"expected auto, cpu, cuda or cuda:N, tensorrt or openvino"):
        choose_devices(device, [CPU])


@pytest.mark.parametrize(
    ("device", "package"),
    [("cuda", "onnxruntime-gpu"), ("tensorrt", "TensorRT"), ("openvino", "onnxruntime-openvino")],
)
def test_a_device_that_is_not_there_names_what_to_install(device: str, package: str) -> None:
    with pytest.raises(ModelError, match=package):
        choose_devices(device, [CPU])


def test_tensorrt_keeps_its_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = Path(provider_options("tensorrt", 1)["trt_engine_cache_path"])
    assert folder.is_dir() and folder.is_relative_to(tmp_path)


def test_cuda_does_not_try_every_algorithm_for_each_new_shape() -> None:
    assert provider_options("cuda", 2) == {"device_id": 2, "cudnn_conv_algo_search": "HEURISTIC"}
