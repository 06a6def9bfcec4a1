"""The part of a dataset that a model can be trained and evaluated on."""

from __future__ import annotations

from dataclasses import replace

from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.image_files import upright_size
from pipeline.datasets.instance_masks import mask_region
from pipeline.datasets.problems import Problem, Problems


def usable(dataset: Dataset) -> Dataset:
    """Leaves out images that are missing or have another size than their labels, and masks without a pixel.

    Only the headers of the images are read.

    Args:
        dataset: as it was read.

    Returns:
        The rest, with a problem for everything that was left out.
    """
    problems = Problems()
    images = []
    for image in dataset.images:
        if (problem := image_problem(dataset, image)) is not None:
            problems.found.append(problem)
            continue
        kept = tuple(one for one in image.instances if _has_pixels(image, one, problems))
        images.append(image if len(kept) == len(image.instances) else replace(image, instances=kept))
    return replace(dataset, images=tuple(images), problems=(*dataset.problems, *problems))


def image_problem(dataset: Dataset, image: LabelledImage) -> Problem | None:
    """What keeps an image from being used, if anything.

    Args:
        dataset: that it belongs to.
        image: one of its images.
    """
    path = dataset.file(image)
    if not path.is_file():
        return Problem("missing image", image.where, f"there is no file {path}")
    try:
        width, height = upright_size(path)
    except ValueError as error:
        return Problem("unreadable image", image.where, str(error))
    if (width, height) != (image.width, image.height):
        text = f"{path} has {width}x{height} pixels, its labels are for {image.width}x{image.height}"
        return Problem("wrong size", image.where, text)
    return None


def _has_pixels(image: LabelledImage, instance: Instance, problems: Problems) -> bool:
    _, region = mask_region(instance, image)
    if region.any():
        return True
    problems.add("no pixels", instance.where, "the mask covers no pixel of the image")
    return False
