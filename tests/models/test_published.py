"""Published weights: fetched once, whole and with the right hash, or one line that says what to do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import catalog, registry
from pipeline.models.download import Hash, download
from pipeline.models.maskrcnn import from_config
from pipeline.models.maskrcnn.zoo import R50
from pipeline.models.published import PublishedFile
from tests.models.conftest import FileServer


def digits(data: bytes) -> Hash:
    return Hash(hashlib.sha256(data).hexdigest()[:8])


def test_a_file_is_fetched_whole_and_its_hash_checked(file_server: FileServer, tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(3_000_000)
    (file_server.folder / "w.pth").write_bytes(data)
    target = tmp_path / "cache" / "w.pth"
    download(f"{file_server.address}/w.pth", target, digits(data))
    assert target.read_bytes() == data
    with pytest.raises(ModelError, match="its hash begins with"):
        download(f"{file_server.address}/w.pth", target, Hash("00000000"))
    with pytest.raises(ModelError, match="could not be downloaded .*404"):
        download(f"{file_server.address}/none.pth", target, digits(data))
    file_server.cut_off_after = 1_000_000
    with pytest.raises(ModelError, match="it ended after 1000000 of 3000000 bytes"):
        download(f"{file_server.address}/w.pth", target, digits(data))
    assert target.read_bytes() == data, "what was there stays"
    assert [one.name for one in target.parent.iterdir()] == ["w.pth"], "nothing half done is left"


def test_the_hash_may_be_of_another_kind(file_server: FileServer, tmp_path: Path) -> None:
    (file_server.folder / "w.pt").write_bytes(b"weights")
    md5 = Hash(hashlib.md5(b"weights", usedforsecurity=False).hexdigest(), "md5")
    download(f"{file_server.address}/w.pt", tmp_path / "w.pt", md5)
    assert (tmp_path / "w.pt").read_bytes() == b"weights"


def publish(monkeypatch: pytest.MonkeyPatch, path: Path, data: bytes = b"good") -> PublishedFile:
    """Makes `data` the weights of a Mask R-CNN, at an address where nobody answers."""
    file = PublishedFile(R50, "http://127.0.0.1:9/r50.pth", path, digits(data), 170)
    monkeypatch.setattr(from_config, "published_weights", lambda name: file)
    return file


def test_no_network_is_one_line_that_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(monkeypatch, tmp_path / "hub" / "r50.pth")
    with pytest.raises(ModelError) as caught:
        registry.prepare(ModelConfig(name=R50))
    text = str(caught.value)
    assert "\n" not in text
    for part in (file.url, "r50.pth (170 MB)", f"put it there as {file.path}", "Connection refused"):
        assert part in text
    assert f"tallycam models pull {R50} --from FILE" in text


def test_a_damaged_file_in_the_cache_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = publish(monkeypatch, tmp_path / "r50.pth")
    file.path.write_bytes(b"good")
    assert registry.prepare(ModelConfig(name=R50)) == file.path
    file.path.write_bytes(b"evil")
    with pytest.raises(ModelError, match="damaged.* remove it"):
        registry.prepare(ModelConfig(name=R50))


def test_a_file_that_was_downloaded_elsewhere_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(monkeypatch, tmp_path / "hub" / "r50.pth")
    (tmp_path / "brought.pth").write_bytes(b"other")
    with pytest.raises(ModelError, match=r"brought\.pth: damaged, or another file"):
        catalog.pull_weights(R50, tmp_path / "brought.pth")
    with pytest.raises(ModelError, match=r"none\.pth: cannot be read"):
        catalog.pull_weights(R50, tmp_path / "none.pth")
    (tmp_path / "brought.pth").write_bytes(b"good")
    assert catalog.pull_weights(R50, tmp_path / "brought.pth") == str(file.path)
    assert file.path.read_bytes() == b"good"
    with pytest.raises(ModelError, match="street ships with Tallycam; to use .* set model.path"):
        catalog.pull_weights("street", tmp_path / "brought.pth")


def test_only_the_network_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="begins with https"):
        download("file:///etc/passwd", tmp_path / "x", Hash(""))
