"""`model: {name: auto}`: which model it stands for, and that the demo's is never used in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.schema import Config, ModelConfig
from pipeline.errors import ModelError
from pipeline.models import auto, registry
from pipeline.models.auto import preferred
from pipeline.models.coco_classes import COCO
from pipeline.models.maskrcnn.zoo import R50, V2
from pipeline.runtime import preflight
from tests.running import ROOT

NANO, MEDIUM = "rfdetr-seg-nano", "rfdetr-seg-medium"
CPU = ("CPUExecutionProvider",)
GPU = ("CUDAExecutionProvider", *CPU)
AUTO = ModelConfig(name="auto", score=0.3, device="cpu")


@pytest.mark.parametrize(
    ("device", "has_cuda", "providers", "first", "of_torch"),
    [
        ("auto", False, CPU, NANO, R50),
        ("cpu", True, GPU, NANO, R50),
        ("auto", False, (), R50, R50),
        ("auto", True, GPU, MEDIUM, V2),
        ("cuda:1", True, CPU, V2, V2),
        ("openvino", False, CPU, NANO, None),
    ],
)
def test_the_best_for_the_device(
    device: str, has_cuda: bool, providers: tuple[str, ...], first: str, of_torch: str | None
) -> None:
    names = preferred(device, has_cuda=has_cuda, providers=providers)
    assert names[0] == first
    assert next((name for name in names if not name.startswith("rfdetr")), None) == of_torch
    assert "street" not in names and len(set(names)) == len(names)


class Cache:
    """Which models are here, and which can be fetched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here: set[str] = set()
        self.fetchable: set[str] = set()
        monkeypatch.setattr(auto, "preferred", lambda *_, **__: (NANO, "rfdetr-seg-small", R50, V2))
        monkeypatch.setattr(auto, "_is_here", self.here.__contains__)
        monkeypatch.setattr(registry, "prepare", self.prepare)

    def prepare(self, config: ModelConfig) -> None:
        if config.name not in self.fetchable:
            raise ModelError(f"model.name: {config.name} needs a file; download it")
        self.here.add(str(config.name))


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(monkeypatch)


def test_what_is_here_is_used_before_anything_is_fetched(cache: Cache) -> None:
    cache.here.update((V2, "rfdetr-seg-small"))
    cache.fetchable.add(NANO)
    assert registry.chosen(AUTO) == AUTO.model_copy(update={"name": "rfdetr-seg-small"})


def test_the_best_is_fetched_and_used_from_then_on(cache: Cache) -> None:
    cache.fetchable.update((NANO, R50))
    assert registry.chosen(AUTO).name == NANO
    cache.fetchable.clear()
    assert registry.chosen(AUTO).name == NANO


def test_where_the_best_cannot_be_had_the_other_family_is_used_and_it_is_said(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.fetchable.update((R50, "rfdetr-seg-small"))
    assert registry.chosen(AUTO).name == R50
    said = f"model.name: auto: {NANO} needs a file; download it; {R50} is used instead\n"
    assert capsys.readouterr().err == said


def test_without_any_it_is_one_line_that_says_what_to_do(cache: Cache) -> None:
    with pytest.raises(ModelError) as caught:
        registry.load(AUTO)
    expected = f"model.name: auto: no model of real pictures is here, and {NANO} needs a file; download it"
    assert str(caught.value) == expected
    assert registry.classes_of(AUTO) == COCO, "classes are checked without it"


def test_another_model_is_left_as_it_is() -> None:
    for config in (ModelConfig(), ModelConfig(name="street"), ModelConfig(name="motion")):
        assert registry.chosen(config) is config


def note(source: str | Path, **model: str) -> str:
    streams = {"gate": {"source": str(source)}}
    config = Config.model_validate({"model": model, "streams": streams})
    return "\n".join(preflight.notes(config))


def test_the_model_of_the_demo_on_real_pictures_is_pointed_out(tmp_path: Path) -> None:
    said = "gate: the model street knows rendered streets alone and miscounts real footage; --set model.name=auto"
    assert said in note("rtsp://camera.local/1") and said in note("camera:0", name="street")
    assert "street" not in note("rtsp://camera.local/1", name="motion")
    assert "street" not in note("rtsp://camera.local/1", path="own.onnx")
    assert "street" not in note("synthetic:7")
    assert "street" not in note(ROOT / "pipeline/demo/data/demo.mp4")
