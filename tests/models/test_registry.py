"""Which model a configuration means."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import Config, ModelConfig
from pipeline.errors import ModelError
from pipeline.models import catalog, registry
from pipeline.stages.inference import Inference
from pipeline.stages.instances import instances_of
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes
from tests.models.conftest import InstallPackage
from tests.running import summary, write_clip


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
    with pytest.raises(
        ModelError, match=r"model\.name: got stret; did you mean street\? there is street, mask"
    ):
        registry.load(ModelConfig(name="stret"))
    with pytest.raises(
        ModelError, match=r"got zzz; there is street, .*replay:PATH, and package\.module:Name"
    ):
        registry.load(ModelConfig(name="zzz"))
    with pytest.raises(ModelError, match=r"best\.pt, expected a file ending in \.onnx or "):
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


def test_every_row_of_the_table_names_code_that_is_there() -> None:
    for row in registry.MODEL_KINDS:
        assert row.names or row.suffixes
        for path in filter(None, (row.load, row.classes_of, row.prepare, row.infos)):
            module, _, name = path.partition(":")
            assert callable(getattr(importlib.import_module(module), name)), path


# A model that is added from outside: a row of the table, an entry point


GREY = """
from pipeline.models.detections import Detections
from pipeline.models.model_info import ModelInfo

class Grey:
    device = "cpu"

    def __init__(self, config):
        self.classes = ("grey",)

    def warm_up(self): ...

    def segment(self, frames):
        return [Detections.empty() for _ in frames]

def classes_of(config):
    return (config.path.read_text(),) if config.path else ("grey",)

def infos():
    return [ModelInfo("grey", "everything is grey", where="needs none", classes=("grey",))]

def broken(config):
    return 5
"""
"""One file with a model that finds nothing."""


def test_a_model_is_one_file_and_one_row(
    tmp_path: Path, install_package: InstallPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_package("grey", GREY, {})
    row = registry.ModelKind(
        name="grey", load="grey:Grey", classes_of="grey:classes_of", names=("grey",), suffixes=(".grey",),
        infos="grey:infos",
    )  # fmt: skip
    monkeypatch.setattr(registry, "MODEL_KINDS", (*registry.MODEL_KINDS, row))
    assert registry.load(ModelConfig(name="grey")).classes == ("grey",)
    assert catalog.list_models()[-1].description == "everything is grey"
    (tmp_path / "a.grey").write_text("fog")
    assert registry.kind(ModelConfig(path=tmp_path / "a.grey")) == "grey"
    assert registry.classes_of(ModelConfig(path=tmp_path / "a.grey")) == ("fog",)
    with pytest.raises(ModelError, match=r"expected a file ending in \.grey or \.onnx or "):
        registry.find(ModelConfig(path=tmp_path / "a.txt"))


@pytest.fixture
def installed(install_package: InstallPackage) -> None:
    """The package `grey`, which declares models."""
    entries = {"greyish": "grey:Grey", "broken": "grey:broken", "street": "grey:Grey"}
    install_package("grey", GREY, {registry.ENTRY_POINTS: entries})


@pytest.mark.usefixtures("installed")
def test_a_model_of_an_installed_package_goes_by_its_name() -> None:
    assert registry.load(ModelConfig(name="greyish")).classes == ("grey",)
    assert registry.classes_of(ModelConfig(name="greyish")) == ("grey",)
    assert registry.kind(ModelConfig(name="street")) == "maskrcnn", (
        "no package replaces a model of Tallycam's"
    )
    rows = {row.name: row for row in catalog.list_models()}
    assert rows["greyish"].description == "from the package grey"
    assert rows["street"].licence == "Apache-2.0"
    with pytest.raises(ModelError, match="got greish; did you mean greyish[?]"):
        registry.load(ModelConfig(name="greish"))


@pytest.mark.usefixtures("installed")
def test_an_entry_point_that_is_no_model_is_one_line() -> None:
    with pytest.raises(ModelError, match="grey:broken returns no model: it has no method warm_up"):
        registry.load(ModelConfig(name="broken"))


def test_only_models_of_ones_own_are_looked_for_in_the_current_folder(
    module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    registry.classes_of(ModelConfig())
    assert "" not in sys.path
    module("grey", GREY)
    assert registry.classes_of(ModelConfig(name="grey:Grey")) == ("grey",)


# A model of one's own: the one of docs/models.md


def page() -> dict[str, str]:
    """The blocks of the page by language; the last one of each."""
    text = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    return dict(re.findall(r"```(python|yaml)\n(.*?)```", text, re.DOTALL))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a module into the current folder; forgets it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    written: list[str] = []

    def write(name: str, code: str) -> None:
        written.append(name)
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        importlib.invalidate_caches()

    yield write
    for name in written:
        sys.modules.pop(name, None)


def frame() -> Planes:
    image = np.full((60, 80, 3), 40, np.uint8)
    image[20:40, 10:30] = 240
    return Planes.from_rgb(image)


def test_a_model_in_one_small_file_works_through_the_registry_and_the_segment_stage(
    module: Callable[[str, str], None],
) -> None:
    module("bright", page()["python"])
    config = Config.model_validate(
        {
            "model": {"name": "bright:Bright", "options": {"level": 180}},
            "streams": {"gate": {"source": "x", "lines": {}}},
        }
    )
    assert registry.kind(config.model) == registry.CUSTOM
    assert registry.classes_of(config.model) == ("light",)
    model = registry.load(config.model)
    model.warm_up()
    ref = FrameRef(
        stream="gate", epoch=0, seq=0, index=0, pts_s=0, wall_s=0, slot=0, ring="", width=80, height=60
    )
    (seen,) = Inference(model, config).run([ref], [frame()])
    instances = instances_of(ref, seen.detections, seen.skipped)
    assert instances.boxes_px.tolist() == [[10, 20, 30, 40]]
    assert instances.masks.shape == (1, 28, 28) and instances.masks.min() == 255
    assert not instances.skipped


@pytest.mark.slow
def test_a_model_in_the_current_folder_counts_in_a_whole_run(
    tmp_path: Path, module: Callable[[str, str], None], root: Path
) -> None:
    module("bright", page()["python"])
    write_clip(tmp_path / "clip.mp4", 20)
    config = {
        "model": {"name": "bright:Bright", "options": {"level": 1}},
        "streams": {"gate": {"source": "clip.mp4"}},
        "output": {"video": {"codec": "none"}},
    }
    (tmp_path / "lights.yaml").write_text(json.dumps(config))
    # As an installed `tallycam`: the current folder is not on the path by itself.
    command = [sys.executable, "-P", "-c", "from pipeline.cli.app import main; main()"]
    done = subprocess.run(
        [*command, "run", "lights.yaml", "--out", "out"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "out", "gate")["unique"] == {"light": 1}


def test_classes_may_be_known_only_when_the_model_is_made(module: Callable[[str, str], None]) -> None:
    module(
        "late",
        page()["python"]
        .replace('classes = ("light",)', "")
        .replace(
            "def __init__(self, config):",
            "def __init__(self, config):\n        self.classes = ('lamp', 'sun')",
        ),
    )
    assert registry.classes_of(ModelConfig(name="late:Bright")) == ("lamp", "sun")


@pytest.mark.parametrize(
    ("code", "name", "says"),
    [
        ("", "mine:Model", "mine has no class or function Model"),
        ("", "nowhere.at_all:Model", "nowhere.at_all cannot be imported: No module named 'nowhere'"),
        ("x = (", "mine:Model", "mine cannot be imported: SyntaxError"),
        ("Model = 5", "mine:Model", "no class or function Model"),
        ("def Model(config):\n return {}['level']", "mine:Model", "could not be created: KeyError: 'level'"),
        (
            "class Model:\n def __init__(s, c): pass",
            "mine:Model",
            "returns no model: it has no method warm_up",
        ),
    ],
)
def test_a_slip_in_ones_own_model_is_one_clear_line(
    module: Callable[[str, str], None], code: str, name: str, says: str
) -> None:
    module("mine", code)
    with pytest.raises(ModelError, match=re.escape(says)) as caught:
        registry.load(ModelConfig(name=name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('("light",)', '["light"]'), "classes is ['light'], expected a tuple of names"),
        (('("light",)', "()"), "classes is (), expected a tuple of names"),
        (('device = "cpu"', ""), "device is missing"),
    ],
)
def test_a_model_of_ones_own_that_lacks_something_is_told_before_it_runs(
    module: Callable[[str, str], None], change: tuple[str, str], says: str
) -> None:
    module("mine", page()["python"].replace(*change))
    with pytest.raises(ModelError, match=re.escape(says)):
        registry.load(ModelConfig(name="mine:Bright"))


def test_the_page_shows_a_configuration_that_is_one() -> None:
    import yaml

    part: dict[str, Any] = yaml.safe_load(page()["yaml"])["model"]
    assert ModelConfig.model_validate(part).options == {"level": 180}
