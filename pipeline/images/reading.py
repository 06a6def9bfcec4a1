"""One image file as upright 8-bit RGB, whatever it is stored as."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from pipeline.errors import TallycamError

Picture: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

MOST_PIXELS = 120_000_000
"""A larger image is refused when its header is read: a small file can unpack to more than the memory holds."""
MOST_SIDE = 65_000
"""JPEG, in which results are written, knows no longer side (65500)."""
MOST_BYTES = 1 << 30

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns first; the one above refuses


class ImageError(TallycamError):
    """One image cannot be used. The line names the file and why."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One image.

    Attributes:
        picture: (H, W, 3) uint8 RGB, upright.
        profile: ICC profile of these colours, to be written again with them; None is sRGB.
        frames: pictures in the file; the first one is taken.
    """

    picture: Picture
    profile: bytes | None
    frames: int


def read(path: Path) -> Photo:
    """Reads an image: EXIF orientation applied, grey, palette, CMYK and 16 bits converted, transparency over white.

    Raises:
        ImageError: not an image, damaged or cut short, or larger than `MOST_PIXELS`.
    """
    try:
        if not path.is_file():
            raise ImageError(f"{path}: is no file")
        if path.stat().st_size > MOST_BYTES:
            raise ImageError(f"{path}: is larger than {MOST_BYTES >> 20} MiB")
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
                raise ImageError(
                    f"{path}: {width}x{height} pixels, at most {MOST_PIXELS // 10**6} million "
                    f"and sides of {MOST_SIDE} can be read"
                )
            frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
            image.load()
            profile = image.info.get("icc_profile") or None
            picture, kept = _rgb(ImageOps.exif_transpose(image), profile)
            return Photo(np.ascontiguousarray(picture), kept, frames)
    except ImageError:
        raise
    except Exception as error:  # Pillow's readers raise whatever they stumble over in a damaged file
        words = " ".join(str(error).split()).replace(str(path), "").replace("''", "").strip()
        raise ImageError(f"{path}: cannot be read as an image ({words or type(error).__name__})") from error


def _rgb(image: Image.Image, profile: bytes | None) -> tuple[Picture, bytes | None]:
    """The picture and the profile that it now has."""
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
    """Grey of more than 8 bits, (H, W). Whole numbers lose their lowest bits: 10 and 12 bits are told by the largest
    value. Fractions are brought from 0..1, or where they go beyond from what they span, to 0..255."""
    if values.dtype.kind == "f":
        floats = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
        low, high = (0.0, 1.0) if floats.min() >= 0 and floats.max() <= 1 else (floats.min(), floats.max())
        return np.asarray(np.rint((floats - low) * (255 / max(high - low, 1e-12))), np.uint8)
    whole = np.maximum(values.astype(np.int64), 0)
    return np.asarray(whole >> max(0, int(whole.max()).bit_length() - 8), np.uint8)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """CMYK by its own profile; without one, or with one that is none, as Pillow reckons."""
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
