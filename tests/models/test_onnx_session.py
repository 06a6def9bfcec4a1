"""Which of ONNX Runtime's execution providers is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.onnx.session import choose_devices, possible_settings, provider_options

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
    folder = Path(provider_options("tensorrt", 1, 2, ModelConfig())["trt_engine_cache_path"])
    assert folder.is_dir() and folder.is_relative_to(tmp_path)


def test_cuda_does_not_try_every_algorithm_for_each_new_shape() -> None:
    options = provider_options("cuda", 2, 1, ModelConfig())
    assert options == {"device_id": 2, "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "1"}


def test_precision_fp32_is_float32_and_never_what_replaces_it() -> None:
    exact = ModelConfig(precision="fp32")
    assert provider_options("cuda", 0, 1, exact)["use_tf32"] == "0"
    assert provider_options("openvino", 0, 1, exact)["precision"] == "FP32"
    assert provider_options("openvino", 0, 3, ModelConfig()) == {
        "device_type": "CPU",
        "num_of_threads": "3",
        "precision": "FP32",
    }
    assert provider_options("openvino", 0, 1, ModelConfig(precision="bf16"))["precision"] == "BF16"


@pytest.mark.parametrize(
    ("config", "available", "cpus", "shared_cores", "settings"),
    [
        ({}, [CPU], 4, True, ["cpu 4", "cpu 2"]),
        ({}, [CPU], 4, False, ["cpu 4"]),
        ({}, [CPU], 1, True, ["cpu 1"]),
        ({}, [OPENVINO, CPU], 8, True, ["cpu 8", "openvino 8", "cpu 4", "openvino 4"]),
        ({}, [OPENVINO, CPU], 8, False, ["cpu 8", "openvino 8"]),
        ({"device": "cpu"}, [OPENVINO, CPU], 4, True, ["cpu 4", "cpu 2"]),
        ({"device": "openvino"}, [OPENVINO, CPU], 4, True, ["openvino 4", "openvino 2"]),
        ({"workers": 3}, [CPU], 8, True, ["cpu 2", "cpu 1"]),
        ({"workers": 4}, [CPU], 2, True, ["cpu 1"]),
        ({"threads": 3}, [CPU], 2, True, ["cpu 3"]),
        ({}, [CUDA, CPU], 16, True, ["cuda 16"]),
    ],
)
def test_what_may_be_faster_on_a_machine_and_what_is_settled(
    config: dict[str, Any], available: list[str], cpus: int, shared_cores: bool, settings: list[str]
) -> None:
    found = possible_settings(ModelConfig(**config), available, cpus, shared_cores)
    assert [f"{one.kind} {one.threads}" for one in found] == settings
