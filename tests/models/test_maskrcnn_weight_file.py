"""Files of Mask R-CNN weights: which network, which classes, what is refused; where published ones come from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import get_model_weights
from torchvision.models.detection import maskrcnn_resnet50_fpn

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.coco_classes import COCO
from pipeline.models.maskrcnn import zoo
from pipeline.models.maskrcnn.fuse import FusedConv2d
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.weight_file import CLASSIFIER, class_map, read_weight_file
from pipeline.models.maskrcnn.zoo import R50, V2


def stub(labels: int = 4, **more: Tensor) -> dict[str, Tensor]:
    """Just the tensors that tell what a file is."""
    return {
        "backbone.body.layer4.2.conv3.weight": torch.zeros(1),
        CLASSIFIER: torch.zeros(labels, 2),
        **more,
    }


def refused(path: Path, **config: object) -> str:
    """The one line of the refusal, which names the file."""
    with pytest.raises(ModelError) as caught:
        MaskRcnn.load(path, device="cpu", **config)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


# -- what a file is --------------------------------------------------------------------------------------


def test_network_is_told_from_the_names_of_tensors(tmp_path: Path) -> None:
    torch.save(stub(), tmp_path / "a.pth")
    assert read_weight_file(tmp_path / "a.pth").network == R50
    save_file(
        stub() | {"backbone.fpn.inner_blocks.0.1.running_mean": torch.zeros(1)}, tmp_path / "b.safetensors"
    )
    assert read_weight_file(tmp_path / "b.safetensors").network == V2


def test_weights_are_found_inside_a_training_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    parallel = {f"module.{name}": value for name, value in stub().items()}
    args = argparse.Namespace(lr=0.02)
    torch.save({"model": parallel, "epoch": 25, "args": args, "classes": ["cat", "dog", "hen"]}, path)
    weights = read_weight_file(path)
    assert weights.network == R50 and weights.labels == 4
    assert weights.names == ("cat", "dog", "hen")


def test_names_of_tensors_from_before_torchvision_0_13_are_understood(tmp_path: Path) -> None:
    old = {
        "rpn.head.conv.weight": "rpn.head.conv.0.0.weight",
        "backbone.fpn.layer_blocks.3.bias": "backbone.fpn.layer_blocks.3.0.bias",
        "roi_heads.mask_head.mask_fcn4.weight": "roi_heads.mask_head.3.0.weight",
    }
    torch.save(stub(**{name: torch.zeros(1) for name in old}), tmp_path / "old.pth")
    tensors = read_weight_file(tmp_path / "old.pth").tensors
    assert set(old.values()) <= set(tensors) and not set(old) & set(tensors)


def test_class_names_come_from_the_file_else_the_configuration_else_coco(tmp_path: Path) -> None:
    path = tmp_path / "named.safetensors"
    save_file(stub(), path, {"classes": json.dumps(["cat", "dog", "hen"])})
    assert registry.classes_of(ModelConfig(path=path, classes=("a", "b", "c"))) == ("cat", "dog", "hen")
    bare = tmp_path / "bare.pth"
    torch.save(stub(), bare)
    assert registry.classes_of(ModelConfig(path=bare, classes=("a", "b", "c"))) == ("a", "b", "c")
    assert registry.classes_of(ModelConfig(path=bare, classes=("__background__", "a", "b", "c"))) == (
        "a",
        "b",
        "c",
    )
    torch.save(stub(91), bare)
    assert registry.classes_of(ModelConfig(path=bare)) == COCO


def test_labels_that_coco_leaves_out_are_no_classes() -> None:
    classes = class_map(Path("coco.pth"), 91, None, None)
    assert classes.names[classes.indices[1]] == "person"
    assert classes.names[classes.indices[90]] == "toothbrush"
    assert classes.indices[0] == classes.indices[12] == -1
    assert sorted(number for number in classes.indices if number >= 0) == list(range(80))


def test_published_models_are_known_without_their_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in (R50, V2):
        assert registry.kind(ModelConfig(name=name)) == "maskrcnn"
        assert registry.classes_of(ModelConfig(name=name)) == COCO
        source = zoo.published_weights(name)
        assert source.url == get_model_weights(name).DEFAULT.url
        assert source.path.parent == tmp_path / "hub" / "checkpoints"
        assert len(source.hash.digits) == 8


def test_a_model_trained_elsewhere_runs_from_its_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    path = tmp_path / "own.safetensors"
    save_file({name: value.half() for name, value in model.state_dict().items() if value.dim()}, path)
    loaded = MaskRcnn.load(path, device="cpu", names=("cup", "plate"), precision="fp32")
    assert loaded.classes == ("cup", "plate") and loaded.device == "cpu"
    convolution = model.backbone.body.conv1.weight.half().float()
    folded = next(
        one.weight
        for one in loaded._network._image_stage.modules()
        if isinstance(one, FusedConv2d)  # type: ignore[attr-defined]
    )
    assert folded.shape == convolution.shape


# -- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am a model", b"PK\x03\x04" + b"\0" * 500, b"\x80\x02}q\x00"]
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert "not a PyTorch checkpoint, or cut short" in refused(path)


def test_a_checkpoint_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.pth"
    torch.save(stub(), path)
    path.write_bytes(path.read_bytes()[:-300])
    assert "cut short" in refused(path)


class _Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("harm"),))


def test_a_checkpoint_with_code_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "code.pth"
    torch.save({"model": _Harm()}, path)
    assert "save the weights alone with torch.save(model.state_dict(), FILE)" in refused(path)
    torch.save(nn.Linear(1, 1), path)
    assert "holds Python objects" in refused(path)
    assert not (tmp_path / "harm").exists()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"fc.weight": torch.zeros(3, 3)}, path)
    assert "tensors of no Mask R-CNN that is known here (fc.weight)" in refused(path)
    torch.save([1, 2], path)
    assert "holds a list, expected the state dict" in refused(path)
    torch.save(stub(3), path)
    assert "is missing" in refused(path, names=("a", "b"))


def test_damaged_numbers_are_named(tmp_path: Path) -> None:
    path = tmp_path / "nan.pth"
    torch.save(stub(weight=torch.tensor([1.0, float("nan")])), path)
    assert "tensor weight holds numbers that are not finite" in refused(path)


def test_another_number_of_names_than_of_classes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "four.pth"
    torch.save(stub(5), path)
    assert "name its 4 classes in model.classes" in refused(path)
    assert "model.classes: names 2 classes, but the weights" in refused(path, names=("a", "b"))
