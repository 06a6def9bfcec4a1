"""The part of a configuration that says which model finds the objects, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.config.part import Classes, Part
from pipeline.config.places import FilterConfig


class MotionConfig(Part):
    """What `model: {name: motion}` takes for an object. Areas are parts of the frame's area."""

    min_area: float = Field(0.0008, gt=0.0, lt=1.0, description="smaller ones are noise, leaves, birds")
    max_area: float = Field(
        0.4, gt=0.0, le=1.0, description="larger ones are lamps, clouds, the camera itself"
    )
    contrast: float = Field(
        16.0, ge=2.0, le=100.0, description="squared distance from the background, in its variances"
    )
    shadows: bool = Field(
        True, description="leave out shadows: darker, but of the background's colour and texture"
    )
    split: bool = Field(True, description="one object for each person of a group, where the shape tells")
    learn_s: float = Field(2.0, ge=0.0, description="nothing is found while the background is learnt")
    absorb_s: float = Field(30.0, gt=0.0, description="what stands still so long becomes background")


class StaticConfig(Part):
    """When the model is spared a frame because nothing moves; what it found last then holds on."""

    enabled: bool = True
    threshold: float = Field(
        10.0, gt=0, le=255, description="change of brightness, of 255, that counts as one"
    )
    area: float = Field(
        0.0002, gt=0, lt=1, description="part of the frame that has to change before it counts as motion"
    )
    refresh_s: float = Field(2.0, gt=0, description="the model looks at least so often; media seconds")


class ModelConfig(Part):
    """Which model finds the objects. Without `path` or `name` it is the one that ships."""

    name: str | None = Field(None, description="a model by name: `street` is the one that ships")
    path: Path | None = Field(None, description="a model file: .onnx, .safetensors or .pth")
    classes: Classes | None = Field(None, description="class names where the file holds none")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N")
    score: float = Field(0.5, ge=0.0, le=1.0, description="instances below this score are not used")
    nms: float = Field(0.6, gt=0.0, le=1.0, description="box IoU above which the weaker of two is dropped")
    batch: int = Field(4, ge=1, le=64, description="frames in one run of the model, at most")
    max_wait_ms: float = Field(5.0, ge=0.0, description="how long to wait for a fuller batch")
    workers: int = Field(1, ge=1, le=16, description="how many segmentation processes")
    threads: int | None = Field(None, ge=1, description="CPU threads of the model; default: its choice")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of a Mask R-CNN; auto: bf16 where the device computes with it"
    )
    compile: bool = Field(False, description="compile a Mask R-CNN: a minute before the first frame")
    filter: FilterConfig = FilterConfig()
    motion: MotionConfig = MotionConfig()
    options: dict[str, Any] = Field({}, description="for a model of your own: whatever it understands")

    @model_validator(mode="after")
    def _one_of(self) -> ModelConfig:
        if self.name is not None and self.path is not None:
            raise ValueError("give name or path, not both; --set model.name=null takes the name away")
        return self
