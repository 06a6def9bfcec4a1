"""What a stage imports: the installed packages, never a file that happens to lie in the user's folder."""

from pathlib import Path

import pytest
import yaml

from tests.running import scene, summary, tallycam

OWN_MODEL = """
from pipeline.models.detections import Detections


class Nothing:
    classes = ("person", "car")
    device = "cpu"

    def __init__(self, config):
        pass

    def warm_up(self):
        pass

    def segment(self, frames):
        return [Detections.empty() for _ in frames]
"""


@pytest.mark.slow
def test_files_named_like_modules_in_the_working_folder_are_not_executed(tmp_path: Path) -> None:
    config = scene(tmp_path, 20)
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("pipeline", "av", "torch", "zmq", "cv2", "numpy", "logging"):
        (folder / f"{name}.py").write_text(f"open({str(folder / 'executed')!r}, 'a').write('{name} ')\n")
    code, _, err = tallycam("run", config, "--out", tmp_path / "out", folder=folder)
    assert not (folder / "executed").exists(), (folder / "executed").read_text()
    assert code == 0, err
    assert summary(tmp_path / "out")["frames"]["processed"] == 20


@pytest.mark.slow
def test_a_model_of_ones_own_is_found_in_the_working_folder(tmp_path: Path) -> None:
    config = scene(tmp_path, 20)
    data = yaml.safe_load(config.read_text())
    data["model"] = {"name": "my_model:Nothing"}
    config.write_text(yaml.safe_dump(data))
    (tmp_path / "my_model.py").write_text(OWN_MODEL)
    code, _, err = tallycam("run", config, "--out", tmp_path / "out", folder=tmp_path)
    assert code == 0, err
    assert summary(tmp_path / "out")["frames"]["processed"] == 20
