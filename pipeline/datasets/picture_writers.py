"""Writes mask folders, Pascal VOC and Open Images: formats whose masks are PNG files."""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.instance_masks import box_of, full_mask, mask_region
from pipeline.datasets.voc_reader import BORDER, MASKS
from pipeline.datasets.writing import ImageFiles, by_split, flat_names
from pipeline.files import make_folder, write_text, writing

BOX_COLUMNS = (
    "ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsOccluded", "IsTruncated",
    "IsGroupOf", "IsDepiction", "IsInside",
)  # fmt: skip
MASK_COLUMNS = (
    "MaskPath", "ImageID", "LabelName", "BoxID", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax", "PredictedIoU", "Clicks",
)  # fmt: skip


def write_mask_folder(dataset: Dataset, out: Path, files: ImageFiles) -> None:
    """Writes `images/` and `masks/CLASS/IMAGE.png` of 16 bits, below a folder for each split.

    Objects that overlap others of their class are in further files, `IMAGE~2.png` and so on. Crowds are left out.

    Args:
        dataset: what to write.
        out: a new folder.
        files: puts the images there.

    Raises:
        OutputError: something cannot be written.
    """
    for image in dataset.images:
        path = PurePosixPath(image.path)
        files.put(image, f"images/{path}")
        for class_id, name in enumerate(dataset.classes):
            own = [one for one in image.instances if one.class_id == class_id and not one.crowd]
            for number, layer in enumerate(_layers(own, image), start=1):
                ending = "" if number == 1 else f"~{number}"
                stem = path.with_suffix("")
                _save(out / "masks" / _folder_name(name) / stem.with_name(f"{stem.name}{ending}.png"), layer)
    make_folder(out / "masks")


def _layers(instances: list[Instance], image: LabelledImage) -> list[NDArray[np.uint16]]:
    """Label maps of the image, as many as are needed for objects that overlap."""
    layers: list[NDArray[np.uint16]] = []
    for number, instance in enumerate(instances, start=1):
        (x, y), region = mask_region(instance, image)
        part = slice(y, y + region.shape[0]), slice(x, x + region.shape[1])
        free = next((layer for layer in layers if not layer[part][region].any()), None)
        if free is None:
            free = np.zeros((image.height, image.width), np.uint16)
            layers.append(free)
        free[part][region] = number
    return layers


def _folder_name(class_name: str) -> str:
    return class_name.replace("/", "-").strip(".") or "class"


def write_voc(dataset: Dataset, out: Path, files: ImageFiles) -> None:
    """Writes `Annotations/`, `JPEGImages/`, `ImageSets/Main/`, and `SegmentationObject/` for images with masks.

    Where objects overlap, the pixels are those of the smaller one. Crowds are left out.

    Args:
        dataset: what to write.
        out: a new folder.
        files: puts the images there.

    Raises:
        OutputError: something cannot be written.
    """
    names = flat_names(dataset)
    for image in dataset.images:
        stem = names[image.path]
        file = stem + PurePosixPath(image.path).suffix
        files.put(image, f"JPEGImages/{file}")
        own = [one for one in image.instances if not one.crowd][: BORDER - 1]
        masked = any(one.has_mask for one in own)
        if masked:
            _save(out / MASKS / f"{stem}.png", _numbered(own, image))
        make_folder(out / "Annotations")
        write_text(out / "Annotations" / f"{stem}.xml", _voc_xml(dataset, image, file, own, masked))
    for split, images in by_split(dataset, "train").items():
        make_folder(out / "ImageSets" / "Main")
        write_text(
            out / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{names[image.path]}\n" for image in images)
        )


def _numbered(instances: list[Instance], image: LabelledImage) -> NDArray[np.uint8]:
    """(H, W) number of the object at each pixel, from 1."""
    labels = np.zeros((image.height, image.width), np.uint8)
    regions = [mask_region(instance, image) for instance in instances]
    for place in sorted(range(len(regions)), key=lambda place: -np.count_nonzero(regions[place][1])):
        (x, y), region = regions[place]
        labels[y : y + region.shape[0], x : x + region.shape[1]][region] = place + 1
    return labels


def _voc_xml(dataset: Dataset, image: LabelledImage, file: str, own: list[Instance], masked: bool) -> str:
    lines = ["<annotation>", f"  <filename>{escape(file)}</filename>"]
    lines.append(
        f"  <size><width>{image.width}</width><height>{image.height}</height><depth>3</depth></size>"
    )
    lines.append(f"  <segmented>{int(masked)}</segmented>")
    for instance in own:
        x0, y0, x1, y1 = box_of(*mask_region(instance, image)) or instance.box_px
        sides = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
        lines += [
            "  <object>",
            f"    <name>{escape(dataset.classes[instance.class_id])}</name>",
            "    <pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>",
            f"    <bndbox>{''.join(f'<{side}>{value:g}</{side}>' for side, value in sides.items())}</bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def write_open_images(dataset: Dataset, out: Path, files: ImageFiles) -> None:
    """Writes CSV files of boxes and masks for each split, `masks/`, `classes.csv`, and the images in a folder a split.

    Crowds are boxes with `IsGroupOf`.

    Args:
        dataset: what to write.
        out: a new folder.
        files: puts the images there.

    Raises:
        OutputError: something cannot be written.
    """
    names = flat_names(dataset)
    labels = [f"/t/{number:06d}" for number in range(1, len(dataset.classes) + 1)]
    for split, images in by_split(dataset, "train").items():
        boxes: list[tuple[str, ...]] = [BOX_COLUMNS]
        masks: list[tuple[str, ...]] = [MASK_COLUMNS]
        for image in images:
            name = names[image.path]
            files.put(image, f"{split}/{name}{PurePosixPath(image.path).suffix}")
            for number, one in enumerate(image.instances):
                x0, y0, x1, y1 = one.box_px
                sides = [x0 / image.width, x1 / image.width, y0 / image.height, y1 / image.height]
                sides_text = tuple(f"{value:.7f}" for value in sides)
                label = labels[one.class_id]
                flags = ("0", "0", str(int(one.crowd)), "0", "0")
                boxes.append((name, "tallycam", label, "1", *sides_text, *flags))
                if one.has_mask and not one.crowd:
                    file = f"{name}_{label[3:]}_{number:08x}.png"
                    _save(out / "masks" / file, np.where(full_mask(one, image), 255, 0).astype(np.uint8))
                    masks.append((file, name, label, f"{number:08x}", *sides_text, "1", ""))
        make_folder(out)
        write_text(out / f"{split}-annotations-bbox.csv", _csv(boxes))
        write_text(out / f"{split}-annotations-object-segmentation.csv", _csv(masks))
    write_text(out / "classes.csv", _csv(list(zip(labels, dataset.classes, strict=True))))


def _csv(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _save(path: Path, values: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    make_folder(path.parent)
    with writing(path):
        Image.fromarray(values).save(path)
