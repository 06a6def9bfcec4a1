"""Which model a configuration means."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import registry


def weights(path: Path, metadata: dict[str, str] | None) -> Path:
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(2, np.float32)}, path, metadata)
    return path


def test_nothing_said_means_the_model_that_ships() -> None:
    assert registry.kind(ModelConfig()) == "maskrcnn"
    assert registry.kind(ModelConfig(name="street")) == "maskrcnn"


def test_ending_of_the_file_tells_the_kind(tmp_path: Path) -> None:
    for name, kind in (("a.onnx", "onnx"), ("B.ONNX", "onnx"), ("c.safetensors", "maskrcnn")):
        (tmp_path / name).write_bytes(b"")
        assert registry.kind(ModelConfig(path=tmp_path / name)) == kind


def test_unknown_model_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.name: got stret, there is street, "):
        registry.load(ModelConfig(name="stret"))
    with pytest.raises(ModelError, match=r"best\.pt, expected a file ending in \.onnx or \.safetensors"):
        registry.load(ModelConfig(path=tmp_path / "best.pt"))
    with pytest.raises(ModelError, match=r"model\.path: there is no file .*none\.onnx"):
        registry.classes_of(ModelConfig(path=tmp_path / "none.onnx"))


def test_wanted_class_that_the_model_lacks_names_the_nearest() -> None:
    classes = ("person", "bicycle", "car", "bus")
    registry.check_classes(classes, ["bus", "person"])
    with pytest.raises(ModelError) as caught:
        registry.check_classes(classes, ["persn"], "streams.gate.classes")
    assert str(caught.value) == "streams.gate.classes: the model has no class 'persn'; did you mean person?"
    with pytest.raises(ModelError, match="it knows person, bicycle, car, bus"):
        registry.check_classes(classes, ["zzz"])
    with pytest.raises(ModelError, match="it knows class0, .*class7 and 12 more"):
        registry.check_classes(tuple(f"class{n}" for n in range(20)), ["zzz"])


def test_classes_of_weights_come_from_their_metadata_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights(tmp_path / "w.safetensors", {"classes": json.dumps(["person", "car"])})
    monkeypatch.setitem(sys.modules, "torch", None)
    assert registry.classes_of(ModelConfig(path=path)) == ("person", "car")


@pytest.mark.parametrize("metadata", [None, {"classes": "[]"}, {"classes": "[1]"}, {"classes": "{"}])
def test_weights_without_class_names_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        registry.classes_of(ModelConfig(path=weights(tmp_path / "w.safetensors", metadata)))


def test_text_file_named_like_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.safetensors"
    path.write_text("hello")
    with pytest.raises(ModelError, match=r"no\.safetensors: is not a model file"):
        registry.classes_of(ModelConfig(path=path))


def test_classes_of_an_onnx_file_come_from_its_metadata_without_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the development package onnx")
    graph = onnx.helper.make_graph([], "empty", [], [])
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {"names": "{0: 'person', 1: 'cup'}"})
    onnx.save(model, tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert registry.classes_of(ModelConfig(path=tmp_path / "m.onnx")) == ("person", "cup")
