"""The device and the precision that PyTorch computes with, and its use of memory."""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Callable

import torch

from pipeline.errors import ModelError

log = logging.getLogger(__name__)

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cannot allocate memory",
    "status_alloc_failed",
)


def choose_device(wanted: str) -> torch.device:
    """The device that `model.device` names.

    Args:
        wanted: `auto` (CUDA if there is a device, else the CPU), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ModelError: there is no such device.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        log.info("model.device is auto: the CPU, since %s", why_no_gpu())
        return torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"model.device: got {wanted!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"model.device: got {wanted!r}, expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"model.device: got {wanted!r}, PyTorch sees {torch.cuda.device_count()} CUDA devices"
        )
    return device


def why_no_gpu() -> str:
    """Why PyTorch uses no GPU here."""
    if torch.version.cuda is None:
        return "this PyTorch is built for CPUs"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0].partition(". ")[0].rstrip(".")
    return "PyTorch sees no GPU"


def choose_precision(wanted: str, device: torch.device, small: bool) -> torch.dtype:
    """Precision of the convolutions.

    Args:
        wanted: `auto`, `fp32`, `bf16` or `fp16`. `auto` is fp16 on CUDA, which is as fast as bf16 and eight times as
            precise; on a CPU bf16 where the hardware multiplies it, else fp32.
        device: where the model runs.
        small: makes `auto` fp32 on a CPU: a small model is fast enough, and counts should be equal on all machines.

    Raises:
        ModelError: the device does not support it.
    """
    if wanted == "auto":
        if device.type == "cuda":
            return torch.float16
        return torch.bfloat16 if cpu_has_bf16() and not small else torch.float32
    if wanted not in PRECISIONS:
        raise ModelError(f"model.precision: got {wanted}, expected auto, {', '.join(PRECISIONS)}")
    if wanted == "fp16" and device.type == "cpu":
        raise ModelError("model.precision: fp16 is for CUDA; on a CPU take bf16 or fp32")
    if wanted == "bf16" and device.type == "cuda":
        with torch.cuda.device(device):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                raise ModelError(
                    "model.precision: this GPU has no bf16, and emulated it is slow; take auto, fp16 or fp32"
                )
    return PRECISIONS[wanted]


def use_full_fp32() -> None:
    """Makes float32 mean float32 on CUDA, for the whole process.

    By default cuDNN computes convolutions of float32 numbers in TF32, with 10 bits of mantissa, as many as fp16 has.
    Then `precision: fp32` would be no more precise than fp16, nor would the scores, which are float32 always.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware (AVX512-BF16 or AMX). Emulated, bf16 is slower than fp32."""
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        supported = getattr(torch.cpu, name, None)
        if supported is not None and supported():
            return True
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation of PyTorch or of one of its libraries failed.

    Args:
        error: What was raised.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(phrase in text for phrase in _OUT_OF_MEMORY)


@functools.cache
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(n,) numbers on a device, made once: each copy from the host would wait for the device.

    They are never forgotten: recorded kernels read them at their address (`recorded.py`).

    Args:
        values: the numbers.
        dtype: of the tensor.
        device: where it lies.
    """
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=dtype, device=device)


def is_gpu(device: torch.device) -> bool:
    """Whether a network is arranged for a GPU there.

    Args:
        device: where it runs.
    """
    return device.type == "cuda"


def record_event(device: torch.device) -> torch.cuda.Event:
    """An event that happens when everything that was submitted to a CUDA device so far is done.

    Args:
        device: the device.
    """
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def start_copy(numbers: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Copies a tensor to the host.

    Args:
        numbers: on the device.

    Returns:
        What gives the copy; on CUDA it waits until that is there.
    """
    if not numbers.is_cuda:
        return numbers.cpu
    host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    host.copy_(numbers, non_blocking=True)
    done = record_event(numbers.device)

    def wait() -> torch.Tensor:
        done.synchronize()
        return host

    return wait


def prepare(device: torch.device) -> None:
    """Settings of this process for models on a device.

    Args:
        device: where the model runs.
    """
    if device.type == "cpu":
        keep_memory()
        return
    use_full_fp32()
    if device.index is not None:
        torch.cuda.set_device(device)  # pinned memory and libraries take the current one


@functools.cache
def keep_memory() -> None:
    """Keeps freed memory in this process instead of returning it to the system after each layer.

    glibc returns every block above 32 MB at once, and the kernel clears the pages again for the next layer: up to a
    third of the time of a large network. The price is that the process keeps its peak memory. Does nothing with
    another C library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD in malloc.h
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)
