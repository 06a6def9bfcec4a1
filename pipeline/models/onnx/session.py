"""A session of ONNX Runtime on the device that the configuration names."""

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
"""Kind of device -> ONNX Runtime's name for it."""
AUTO = ("cuda", "openvino", "cpu")
"""What `auto` takes, the first that is there. TensorRT is taken when it is named: it builds an engine first, which
takes minutes, longer than a silent process is left alone (`restarts.heartbeat_s`)."""
INSTALL = {
    "cuda": "install onnxruntime-gpu or use cpu",
    "tensorrt": "install onnxruntime-gpu and TensorRT, or use cuda or cpu",
    "openvino": "install onnxruntime-openvino or use cpu",
}


def open_session(path: Path, config: ModelConfig) -> tuple[Any, str]:
    """An `onnxruntime.InferenceSession`, and the device it runs on in words.

    Raises:
        ModelError: no ONNX Runtime, no such device here, or it cannot load the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"{path}: ONNX Runtime is not installed; pip install 'tallycam[onnx]'") from error
    kinds, number = wanted(config.device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; its own log goes to stderr behind our back
    # Cores belong to other stages, too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if config.threads is not None:
        options.intra_op_num_threads = config.threads
    providers = [(PROVIDERS[kind], settings(kind, number)) for kind in kinds]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {first_line(error)}") from error
    in_use = session.get_providers()
    chosen = next((kind for kind in kinds if PROVIDERS[kind] in in_use), "cpu")
    if config.device not in ("auto", "cpu") and chosen != kinds[0]:
        raise ModelError(
            f"model.device: got {config.device}, but ONNX Runtime cannot use it here; {INSTALL[kinds[0]]}"
        )
    return session, chosen if chosen in ("cpu", "openvino") else f"{chosen}:{number}"


def wanted(device: str, available: list[str]) -> tuple[list[str], int]:
    """Kinds of devices to try, the best one first and the CPU last, and the number of the GPU. Pure.

    Raises:
        ModelError: not a device, or ONNX Runtime has been installed without it.
    """
    kind, colon, number = device.partition(":")
    numbered = kind in ("cuda", "tensorrt") and number.isdecimal()
    if kind not in ("auto", *PROVIDERS) or (colon and not numbered):
        raise ModelError(
            f"model.device: got {device}, expected auto, cpu, cuda or cuda:N, tensorrt or openvino"
        )
    there = [name for name in PROVIDERS if PROVIDERS[name] in available]
    if kind == "auto":
        kinds = [next(name for name in AUTO if name in there or name == "cpu")]
    elif kind not in there and kind != "cpu":
        raise ModelError(f"model.device: got {device}, but ONNX Runtime has no {kind} here; {INSTALL[kind]}")
    else:
        kinds = [kind]
    if kind == "tensorrt" and "cuda" in there:
        kinds.append("cuda")  # what TensorRT has no layer for
    return [*kinds, *(["cpu"] if "cpu" not in kinds else [])], int(number or 0)


def settings(kind: str, number: int) -> dict[str, Any]:
    """Options of an execution provider."""
    match kind:
        case "cuda":
            return {"device_id": number}
        case "tensorrt":
            home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallycam" / "tensorrt"
            home.mkdir(parents=True, exist_ok=True)
            return {
                "device_id": number,
                "trt_fp16_enable": True,
                "trt_engine_cache_enable": True,
                "trt_engine_cache_path": str(home),
                "trt_timing_cache_enable": True,
            }
        case _:
            return {}


def first_line(error: Exception) -> str:
    """What ONNX Runtime says, without the lines that follow."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
