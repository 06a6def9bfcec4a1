"""Image files: any kind of them as upright 8-bit RGB, and RGB as the bytes of one."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from pipeline.errors import TallycamError

Picture: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

MAX_PIXELS = 120_000_000
"""Larger images are refused by their header: a small file can decompress to more than the memory holds."""
MAX_SIDE = 65_000
"""The results are JPEG files, whose sides are limited to 65500."""
MAX_BYTES = 1 << 30

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns first; the one above refuses


class ImageError(TallycamError):
    """An image that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One image.

    Attributes:
        picture: (H, W, 3) uint8 RGB, upright.
        profile: ICC profile of its colours, to be stored in the results too; None: sRGB.
        frames: number of pictures in the file, of which this is the first.
    """

    picture: Picture
    profile: bytes | None
    frames: int


def read(path: Path) -> Photo:
    """Read an image.

    The EXIF orientation is applied; grey, palette, CMYK and 16-bit images are converted; transparent ones are put on
    white.

    Raises:
        ImageError: not an image, damaged, truncated, or larger than `MAX_PIXELS`.
    """
    try:
        if not path.is_file():
            raise ImageError(f"{path}: is not a file")
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(f"{path}: is larger than {MAX_BYTES >> 20} MiB")
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
                raise ImageError(
                    f"{path}: has {width}x{height} pixels, at most {MAX_PIXELS // 10**6} million "
                    f"and sides of {MAX_SIDE} can be read"
                )
            frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
            image.load()
            profile = image.info.get("icc_profile") or None
            picture, kept = _rgb(ImageOps.exif_transpose(image), profile)
            return Photo(np.ascontiguousarray(picture), kept, frames)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        words = " ".join(str(error).split()).replace(str(path), "").replace("''", "").strip()
        raise ImageError(f"{path}: cannot be read as an image ({words or type(error).__name__})") from error


def _rgb(image: Image.Image, profile: bytes | None) -> tuple[Picture, bytes | None]:
    """The picture as RGB, and the profile of its colours."""
    mode = image.mode
    if mode in ("1", "L"):
        return np.asarray(image.convert("RGB")), None
    if mode.startswith("I") or mode == "F":
        grey = to_8_bits(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2), None
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return np.asarray(
            Image.alpha_composite(white, layers).convert("RGB")
        ), profile if mode == "RGBA" else None
    if mode in ("CMYK", "LAB"):
        return np.asarray(_to_srgb(image, profile)), None
    return np.asarray(image.convert("RGB")), profile if mode == "RGB" else None


def to_8_bits(values: NDArray[np.generic]) -> Picture:
    """Convert a grey image of more than 8 bits.

    Integers lose their lowest bits; the bit depth (10, 12, 16) is inferred from the largest value. Floats are scaled
    to 0..255 from 0..1, or from the range of their values if it is larger.

    Args:
        values: (H, W) of any numeric dtype.

    Returns:
        (H, W) uint8.
    """
    if values.dtype.kind == "f":
        floats = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
        low, high = (0.0, 1.0) if floats.min() >= 0 and floats.max() <= 1 else (floats.min(), floats.max())
        return np.asarray(np.rint((floats - low) * (255 / max(high - low, 1e-12))), np.uint8)
    whole = np.maximum(values.astype(np.int64), 0)
    return np.asarray(whole >> max(0, int(whole.max()).bit_length() - 8), np.uint8)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert CMYK or LAB to sRGB: by its profile, or by Pillow's own formula if it has no valid one."""
    try:
        if image.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif profile is not None:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        else:
            return image.convert("RGB")
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        done = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):
        done = None
    return image.convert("RGB") if done is None else done


def encoded(picture: Picture, kind: str, quality: int = 85) -> bytes:
    """A picture as the bytes of a file.

    Args:
        picture: (H, W, 3) uint8 RGB.
        kind: suffix of the file, `.jpg` or `.png`.
        quality: of a JPEG, 1..100.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(kind, bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return bytes(data)
