"""RF-DETR by name: its weights are fetched and exported once, then only ONNX Runtime is needed.

The export runs for real, with a package `rfdetr` that writes a small model of the same shape.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import catalog, registry
from pipeline.models.coco_classes import COCO, COCO_SLOTS
from pipeline.models.rfdetr import from_config
from pipeline.models.rfdetr.variants import VARIANTS, VERSION, Variant
from tests.models.conftest import FileServer
from tests.models.test_onnx_layouts import frame, rfdetr

NANO, SMALL = "rfdetr-seg-nano", "rfdetr-seg-small"
WEIGHTS = b"the weights of nano"
MD5 = hashlib.md5(WEIGHTS, usedforsecurity=False).hexdigest()
PACKAGE = """
import pathlib, shutil

class RFDETRSegNano:
    def __init__(self, pretrain_weights):
        if pathlib.Path(pretrain_weights).read_bytes() != {weights!r}:
            raise ValueError("not its weights")

    def export(self, output_dir, opset_version, verbose):
        shutil.copy({made!r}, pathlib.Path(output_dir, "any-name.onnx"))
"""


@pytest.fixture(autouse=True)
def nano(file_server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Variant:
    """The smallest variant, published by a server of this machine, with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (file_server.folder / "nano.pth").write_bytes(WEIGHTS)
    changed = replace(VARIANTS[NANO], url=f"{file_server.address}/nano.pth", md5=MD5)
    monkeypatch.setitem(VARIANTS, NANO, changed)
    return changed


def person(path: Path, side: int = 312) -> Path:
    """An export that finds one person in every picture."""
    scores = [[0.0001] * COCO_SLOTS for _ in range(2)]
    scores[0][1] = 0.9
    return rfdetr(path, [(0.5, 0.5, 0.5, 0.5)] * 2, scores, batch=1, side=side)


@pytest.fixture
def package(tmp_path: Path) -> str:
    """The code of a package `rfdetr`."""
    return PACKAGE.format(weights=WEIGHTS, made=str(person(tmp_path / "made.onnx")))


@pytest.fixture
def python(tmp_path: Path, package: str) -> Path:
    """A Python that has the package."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "rfdetr.py").write_text(package)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
    script.chmod(0o700)
    return script


def refusal(*arguments: Path | None, name: str = NANO) -> str:
    with pytest.raises(ModelError) as caught:
        catalog.pull_weights(name, *arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_fetched_and_exported_once_then_found_by_name(
    file_server: FileServer, python: Path, nano: Variant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry.classes_of(ModelConfig(name=NANO)) == COCO, "known before anything is fetched"
    assert catalog.pull_weights(NANO, None, python) == str(nano.onnx)
    assert f"Exporting {NANO} to ONNX with {python}; this is done once" in capsys.readouterr().err
    python.unlink()
    (file_server.folder / "nano.pth").unlink()
    assert registry.prepare(ModelConfig(name=NANO)) == nano.onnx
    assert file_server.asked == ("/nano.pth",)
    model = registry.load(ModelConfig(name=NANO, device="cpu", classes=("dog",)))
    (found,) = model.segment([frame(320, 200)])
    assert [model.classes[number] for number in found.class_ids] == ["person"]
    left = sorted(path.name for path in nano.onnx.parent.iterdir())
    assert left == ["rf-detr-seg-nano.pt", f"{NANO}.onnx", f"{NANO}.onnx.sha256"]


def test_what_goes_wrong_on_the_way_is_one_line_and_the_cache_stays_clean(
    file_server: FileServer, python: Path, nano: Variant
) -> None:
    file_server.cut_off_after = 5
    assert f"it ended after 5 of {len(WEIGHTS)} bytes" in refusal(None, python)
    file_server.cut_off_after = None
    (file_server.folder / "nano.pth").write_bytes(b"something else")
    text = refusal(None, python)
    assert f"expected {MD5}: the file has changed" in text
    assert f"put it there as {nano.onnx.parent}" in text and f"models pull {NANO} --from FILE" in text
    (file_server.folder / "nano.pth").unlink()
    assert "404" in refusal(None, python)
    assert list(nano.onnx.parent.iterdir()) == []


def test_an_export_that_fails_says_why_and_keeps_the_weights(
    file_server: FileServer, tmp_path: Path, python: Path, nano: Variant
) -> None:
    (tmp_path / "site" / "rfdetr.py").write_text("raise RuntimeError('no such\\n  luck')")
    text = refusal(None, python)
    assert "could not be exported by rfdetr: luck; run `tallycam models pull" in text
    assert f"tallycam models pull {NANO} --from {NANO}.onnx" in text
    assert [path.name for path in nano.onnx.parent.iterdir()] == ["rf-detr-seg-nano.pt"]
    assert "there is no /none/python" in refusal(None, Path("/none/python"))


def test_weights_or_an_export_of_another_machine_are_taken(
    file_server: FileServer, tmp_path: Path, python: Path, nano: Variant
) -> None:
    brought = tmp_path / "brought.pth"
    brought.write_bytes(b"of another model")
    assert "brought.pth: damaged, or another file" in refusal(brought, python)
    brought.write_bytes(WEIGHTS)
    assert catalog.pull_weights(NANO, brought, python) == str(nano.onnx)
    nano.onnx.unlink()
    other = person(tmp_path / "small.onnx", side=384)
    assert "has an input of 384x384 and 80 classes; rfdetr-seg-nano has 312x312" in refusal(other)
    (tmp_path / "text.onnx").write_text("no model")
    assert "text.onnx: " in refusal(tmp_path / "text.onnx")
    assert "none.onnx: cannot be read" in refusal(tmp_path / "none.onnx")
    assert catalog.pull_weights(NANO, person(tmp_path / "nano.onnx")) == str(nano.onnx)
    assert from_config.is_here(NANO) and not from_config.is_here(SMALL)
    assert file_server.asked == ()


def test_a_damaged_export_is_told_and_one_put_there_by_hand_is_accepted(
    tmp_path: Path, nano: Variant
) -> None:
    nano.onnx.parent.mkdir(parents=True)
    person(nano.onnx)
    assert registry.prepare(ModelConfig(name=NANO)) == nano.onnx
    nano.onnx.write_bytes(nano.onnx.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"nano\.onnx: damaged .*; remove it, and it is made again"):
        registry.prepare(ModelConfig(name=NANO))


@pytest.mark.slow
def test_the_package_is_installed_into_an_environment_that_sees_this_one_and_is_removed(
    tmp_path: Path, package: str, nano: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    text = refusal()
    assert (
        f"the package rfdetr {VERSION}, which exports the model, could not be installed: No matching" in text
    )
    write_wheel(tmp_path / "wheels", f"import torch\n{package}")
    assert catalog.pull_weights(NANO) == str(nano.onnx)
    left = sorted(path.name for path in nano.onnx.parent.iterdir())
    assert left == ["rf-detr-seg-nano.pt", f"{NANO}.onnx", f"{NANO}.onnx.sha256"]


def write_wheel(folder: Path, code: str) -> None:
    """A wheel of the package `rfdetr`."""
    folder.mkdir()
    info = f"rfdetr-{VERSION}.dist-info"
    files = {
        "rfdetr.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: rfdetr\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"rfdetr-{VERSION}-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(name, text)
