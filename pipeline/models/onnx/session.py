"""Opening a session of ONNX Runtime on the device that the configuration names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Kind of device -> ONNX Runtime's execution provider."""
AUTO = ("cuda", "openvino", "cpu")
"""Devices that `auto` chooses from, in order of preference. TensorRT has to be asked for: it builds an engine first,
which takes minutes, longer than the supervisor waits for a silent process (`restarts.heartbeat_s`)."""
ADVICE = {
    "cuda": "install onnxruntime-gpu or use cpu",
    "tensorrt": "install onnxruntime-gpu and TensorRT, or use cuda or cpu",
    "openvino": "install onnxruntime-openvino or use cpu",
}


def open_session(path: Path, config: ModelConfig) -> tuple[Any, str]:
    """Loads an ONNX file.

    Args:
        path: the file.
        config: the section `model`, for the device.

    Returns:
        An `onnxruntime.InferenceSession`, and the device it runs on, for display.

    Raises:
        ModelError: ONNX Runtime is missing, there is no such device here, or it cannot load the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"{path}: ONNX Runtime is not installed; pip install onnxruntime") from error
    kinds, number = choose_devices(config.device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised; its own log would reach stderr unformatted
    # Threads that wait actively would take the cores from the other stages.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if config.threads is not None:
        options.intra_op_num_threads = config.threads
    providers = [(PROVIDERS[kind], provider_options(kind, number)) for kind in kinds]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {first_line(error)}") from error
    in_use = session.get_providers()
    chosen = next((kind for kind in kinds if PROVIDERS[kind] in in_use), "cpu")
    if config.device not in ("auto", "cpu") and chosen != kinds[0]:
        raise ModelError(
            f"model.device: got {config.device}, but ONNX Runtime cannot use it here; {ADVICE[kinds[0]]}"
        )
    return session, chosen if chosen in ("cpu", "openvino") else f"{chosen}:{number}"


def choose_devices(device: str, available: list[str]) -> tuple[list[str], int]:
    """Which kinds of device to try. Pure.

    Args:
        device: `model.device`.
        available: execution providers of the installed ONNX Runtime.

    Returns:
        Kinds of device in order of preference, the CPU last, and the number of the GPU.

    Raises:
        ModelError: not a device, or ONNX Runtime was installed without it.
    """
    kind, colon, number = device.partition(":")
    numbered = kind in ("cuda", "tensorrt") and number.isdecimal()
    if kind not in ("auto", *PROVIDERS) or (colon and not numbered):
        raise ModelError(
            f"model.device: got {device}, expected auto, cpu, cuda or cuda:N, tensorrt or openvino"
        )
    present = [name for name in PROVIDERS if PROVIDERS[name] in available]
    if kind == "auto":
        kinds = [next(name for name in AUTO if name in present or name == "cpu")]
    elif kind not in present and kind != "cpu":
        raise ModelError(f"model.device: got {device}, but ONNX Runtime has no {kind} here; {ADVICE[kind]}")
    else:
        kinds = [kind]
    if kind == "tensorrt" and "cuda" in present:
        kinds.append("cuda")  # for operators that TensorRT does not implement
    return [*kinds, *(["cpu"] if "cpu" not in kinds else [])], int(number or 0)


def provider_options(kind: str, number: int) -> dict[str, Any]:
    """Options of an execution provider.

    Args:
        kind: of device.
        number: of the GPU.
    """
    match kind:
        case "cuda":
            # The default tries every algorithm for each new shape, which takes seconds for each size of a batch.
            return {"device_id": number, "cudnn_conv_algo_search": "HEURISTIC"}
        case "tensorrt":
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallycam" / "tensorrt"
            cache.mkdir(parents=True, exist_ok=True)
            return {
                "device_id": number,
                "trt_fp16_enable": True,
                "trt_engine_cache_enable": True,
                "trt_engine_cache_path": str(cache),
                "trt_timing_cache_enable": True,
            }
        case _:
            return {}


def first_line(error: Exception) -> str:
    """First line of an error of ONNX Runtime, at most 200 characters.

    Args:
        error: as raised.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
