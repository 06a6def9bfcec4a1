"""What a trained model finds in labelled images, and its scores against their labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.evaluation.mask_files import FoundMasks, Mask, TrueMasks
from pipeline.finetuning.data import LabelledImage
from pipeline.finetuning.new_heads import StartNetwork
from pipeline.geometry.mask_paste import paste_mask_region
from pipeline.geometry.rle import encode, encode_region
from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.transport.planes import Planes


def segmenter_of(
    model: MaskRCNN, start: StartNetwork, classes: Sequence[str], device: torch.device
) -> MaskRcnn:
    """A copy of a network in training as a run would use it, in float32.

    Args:
        model: the weights.
        start: tells its preprocessing.
        classes: names of its classes.
        device: where it runs.
    """
    names = ClassMap.from_names(dict(enumerate(classes, 1)), len(classes) + 1)
    with torch.random.fork_rng(devices=[]):
        return MaskRcnn(copy.deepcopy(model).eval(), names, start.preprocessor, device)


def true_masks(images: Sequence[LabelledImage], classes: Sequence[str]) -> TrueMasks:
    """The labels of images as the truth of an evaluation.

    Args:
        images: the images.
        classes: names of their class ids.
    """
    masks = tuple(
        Mask(
            place,
            classes[one.class_id],
            {"size": [image.height, image.width], "counts": encode(image.mask(one).view(np.bool_))},
            crowd=one.crowd,
        )
        for place, image in enumerate(images)
        for one in image.objects
    )  # fmt: skip
    names = tuple(image.image.path for image in images)
    return TrueMasks(names, tuple((image.width, image.height) for image in images), tuple(classes), masks)


def found_masks(segmenter: MaskRcnn, images: Sequence[LabelledImage], truth: TrueMasks) -> FoundMasks:
    """What a model finds in images; classes that the truth does not have are left out.

    Args:
        segmenter: the model.
        images: those of the truth.
        truth: their labels.
    """
    masks: list[Mask] = []
    for place, (image, found) in enumerate(zip(images, _detections(segmenter, images), strict=True)):
        for row, class_id in enumerate(found.class_ids):
            name = segmenter.classes[int(class_id)]
            if name not in truth.classes:
                continue
            corner, inside = paste_mask_region(
                found.masks[row], found.boxes_px[row], image.width, image.height
            )
            rle = {
                "size": [image.height, image.width],
                "counts": encode_region(inside, *corner, image.width, image.height),
            }
            masks.append(Mask(place, name, rle, float(found.scores[row])))
    return FoundMasks(tuple(masks))


def _detections(segmenter: MaskRcnn, images: Sequence[LabelledImage]) -> Iterator[Detections]:
    for image in images:
        yield segmenter.segment([Planes.from_rgb(np.ascontiguousarray(image.read()))])[0]
