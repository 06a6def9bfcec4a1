"""Configuration of the model: which one detects the objects, and on which frames it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.config.fields import ClassNames, ConfigModel
from pipeline.config.regions import FilterConfig


class MotionConfig(ConfigModel):
    """What `model: {name: motion}` takes for an object. Areas are fractions of the frame's area."""

    min_area: float = Field(
        0.0008, gt=0.0, lt=1.0, description="smaller regions are ignored: noise, leaves, birds"
    )
    max_area: float = Field(
        0.4, gt=0.0, le=1.0, description="larger regions are ignored: lamps, clouds, a moving camera"
    )
    contrast: float = Field(
        16.0, ge=2.0, le=100.0, description="squared distance from the background, in units of its variance"
    )
    shadows: bool = Field(
        True, description="remove shadows: darker, but of the background's colour and texture"
    )
    split: bool = Field(True, description="split a group into its people where the shape allows")
    learn_s: float = Field(
        2.0, ge=0.0, description="seconds of background learning, in which nothing is detected"
    )
    absorb_s: float = Field(
        30.0, gt=0.0, description="seconds after which a stationary object becomes background"
    )


class StaticConfig(ConfigModel):
    """When inference is skipped because nothing moves; the last detections are then used again."""

    enabled: bool = True
    threshold: float = Field(
        10.0, gt=0, le=255, description="change of a pixel's brightness, of 255, that counts as motion"
    )
    area: float = Field(
        0.0002, gt=0, lt=1, description="fraction of the frame that must change before inference runs"
    )
    refresh_s: float = Field(2.0, gt=0, description="longest time without inference, in seconds of video")


class ModelConfig(ConfigModel):
    """The model that detects the objects. Without `path` or `name` it is the one that ships."""

    name: str | None = Field(
        None,
        description="name of a model; `auto` is the best of real pictures for the device, `street` the one that ships",
    )
    path: Path | None = Field(None, description="a model file: .onnx, .safetensors or .pth")
    classes: ClassNames | None = Field(None, description="class names, if the file contains none")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N")
    devices: list[int] = Field(
        [],
        max_length=16,
        description="numbers of several GPUs: a worker on each, or `workers` of them in turn",
    )
    score: float = Field(0.5, ge=0.0, le=1.0, description="detections below this score are discarded")
    nms: float = Field(
        0.6, gt=0.0, le=1.0, description="box IoU above which the weaker of two detections is suppressed"
    )
    batch: int = Field(4, ge=1, le=64, description="largest batch of frames")
    max_wait_ms: float = Field(5.0, ge=0.0, description="how long to wait for a batch to fill up")
    workers: int = Field(1, ge=1, le=16, description="number of segmentation processes")
    threads: int | None = Field(
        None,
        ge=1,
        description="CPU threads of the model; default: for ONNX the CPUs it may use, else PyTorch's",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="of a Mask R-CNN; auto: fp16 on CUDA; on a CPU bf16 if it has it, else fp32",
    )
    compile: bool = Field(False, description="compile a Mask R-CNN, which takes about a minute at the start")
    filter: FilterConfig = FilterConfig()
    motion: MotionConfig = MotionConfig()
    options: dict[str, Any] = Field({}, description="options passed to a model of your own")

    @model_validator(mode="before")
    @classmethod
    def _a_worker_for_each_device(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("devices"), list) and len(given["devices"]) > 1:
            return {"workers": len(given["devices"])} | given
        return given

    @model_validator(mode="after")
    def _devices_exist_once(self) -> ModelConfig:
        if not self.devices:
            return self
        if self.device not in ("auto", "cuda", "tensorrt"):
            raise ValueError(f"devices are GPUs, and device is {self.device}: leave one of them out")
        if min(self.devices) < 0 or len(set(self.devices)) < len(self.devices):
            raise ValueError(f"devices: got {self.devices}, expected the numbers of different GPUs, from 0")
        if self.workers < len(self.devices):
            raise ValueError(
                f"workers: got {self.workers} for {len(self.devices)} devices, expected one for each at least"
            )
        return self

    def of_worker(self, index: int) -> ModelConfig:
        """The configuration of one worker, with its device.

        Args:
            index: number of the worker.
        """
        if not self.devices:
            return self
        kind = "cuda" if self.device == "auto" else self.device
        number = self.devices[index % len(self.devices)]
        return self.model_copy(update={"device": f"{kind}:{number}", "devices": []})

    @model_validator(mode="after")
    def _one_of(self) -> ModelConfig:
        if self.name is not None and self.path is not None:
            raise ValueError("give name or path, not both; --set model.name=null removes the name")
        return self
