"""Opening a session of ONNX Runtime on the device that the configuration names."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.onnx.model_file import batch_name
from pipeline.models.processor import threads_share_cores, usable_cpus

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Kind of device -> ONNX Runtime's execution provider."""
GPUS = ("cuda", "tensorrt")
AUTO = ("cuda", "openvino", "cpu")
"""Devices that `auto` chooses from, in order of preference. TensorRT has to be asked for: it builds an engine first,
which takes minutes, longer than the supervisor waits for a silent process (`restarts.heartbeat_s`)."""
ADVICE = {
    "cuda": "install onnxruntime-gpu or use cpu",
    "tensorrt": "install onnxruntime-gpu and TensorRT, or use cuda or cpu",
    "openvino": "install onnxruntime-openvino or use cpu",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a session runs.

    Attributes:
        kind: of device.
        threads: of the CPU, for one run.
    """

    kind: str
    threads: int


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session of ONNX Runtime.

    Attributes:
        session: an `onnxruntime.InferenceSession`.
        setting: how it runs.
        device: where it runs, for display.
        choices: other settings that might be faster on this machine; empty where the configuration decides.
    """

    session: Any
    setting: Setting
    device: str
    choices: tuple[Setting, ...] = ()

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU."""
        return self.setting.kind in GPUS


def open_session(config: ModelConfig, setting: Setting | None = None) -> OpenSession:
    """Loads an ONNX file.

    Args:
        config: the section `model`: file, device, threads, precision.
        setting: how to run it; default: on the preferred device of the configuration, with all CPUs of a worker.

    Raises:
        ModelError: ONNX Runtime is missing, there is no such device here, or it cannot load the file.
    """
    path = config.path
    assert path is not None
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"{path}: ONNX Runtime is not installed; pip install onnxruntime") from error
    available = onnxruntime.get_available_providers()
    kinds, number = choose_devices(config.device, available)
    if kinds[0] in GPUS and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries, from the packages that PyTorch brings
    settings = possible_settings(config, available, usable_cpus(), threads_share_cores())
    used = setting or settings[0]
    if used.kind not in GPUS:
        kinds = [used.kind, *(["cpu"] if used.kind != "cpu" else [])]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised; its own log would reach stderr unformatted
    # Threads that wait actively would take the cores from the other stages.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = used.threads
    if used.kind not in GPUS and (batch := batch_name(path)) is not None:
        # A CPU gains nothing by batches, and what depends on their size (a tenth of the time) can be computed now.
        options.add_free_dimension_override_by_name(batch, 1)
    providers = [(PROVIDERS[kind], provider_options(kind, number, used.threads, config)) for kind in kinds]
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
    device = f"{chosen}:{number}" if chosen in GPUS else chosen
    return OpenSession(
        session, Setting(chosen, used.threads), device, tuple(settings[1:]) if setting is None else ()
    )


def possible_settings(
    config: ModelConfig, available: list[str], cpus: int, shared_cores: bool
) -> list[Setting]:
    """How a model may be run under a configuration, the setting to start with first. Pure.

    On a GPU that is one. On a CPU there may be a second provider, and where two of the system's CPUs are one core half
    as many threads may be faster. Of several workers each has its share of the CPUs.

    Args:
        config: the section `model`.
        available: execution providers of the installed ONNX Runtime.
        cpus: that this process may use.
        shared_cores: two of them are one core.

    Raises:
        ModelError: as `choose_devices`.
    """
    kinds, _ = choose_devices(config.device, available)
    share = max(1, cpus // config.workers)
    half = [share // 2] if shared_cores and share > 1 else []
    threads = [config.threads] if config.threads is not None else [share, *half]
    if kinds[0] in GPUS:
        return [Setting(kinds[0], threads[0])]
    kinds = kinds if config.device == "auto" else kinds[:1]
    return [Setting(kind, count) for count in threads for kind in sorted(kinds)]


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


def provider_options(kind: str, number: int, threads: int, config: ModelConfig) -> dict[str, Any]:
    """Options of an execution provider.

    Args:
        kind: of device.
        number: of the GPU.
        threads: of the CPU.
        config: the section `model`, for the precision.
    """
    match kind:
        case "cuda":
            # The default tries every algorithm for each new shape, which takes seconds for each size of a batch.
            return {
                "device_id": number,
                "cudnn_conv_algo_search": "HEURISTIC",
                "use_tf32": "0" if config.precision == "fp32" else "1",
            }
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
        case "openvino":
            # Its default is bf16 where the processor multiplies it in hardware: counts would depend on the processor.
            precision = "FP32" if config.precision in ("auto", "fp32") else config.precision.upper()
            return {"device_type": "CPU", "num_of_threads": str(threads), "precision": precision}
        case _:
            return {}


def pinned_memory(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array without content in memory that a GPU copies from and to directly; PyTorch reuses what was freed.

    Args:
        shape: of the array.
        dtype: of the array.
    """
    import torch

    size = math.prod(shape) * dtype.itemsize
    flat: NDArray[np.uint8] = torch.empty(
        size, dtype=torch.uint8, pin_memory=torch.cuda.is_available()
    ).numpy()
    return flat.view(dtype).reshape(shape)


def first_line(error: Exception) -> str:
    """First line of an error of ONNX Runtime, at most 200 characters.

    Args:
        error: as raised.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
