"""Images of every kind become upright 8-bit RGB, or one line that says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline import pictures as reading
from pipeline.pictures import ImageError, read, to_8_bits

RED, GREEN, BLUE, WHITE = (250, 10, 10), (10, 240, 20), (20, 10, 240), (255, 255, 255)


def quarters(width: int = 40, height: int = 24) -> Image.Image:
    """Red and green above, blue and white below."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = BLUE, WHITE
    return Image.fromarray(picture)


def corners(picture: np.ndarray) -> list[tuple[int, ...]]:
    """Colours near the four corners: upper left, upper right, lower left, lower right."""
    return [tuple(map(int, picture[y, x])) for y in (2, -3) for x in (2, -3)]


def near(first: list[tuple[int, ...]], second: list[tuple[int, ...]], by: int) -> bool:
    return bool((np.abs(np.array(first, int) - np.array(second, int)) <= by).all())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_every_exif_orientation_is_shown_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = quarters() if orientation == 1 else quarters().transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"turned{suffix}", exif=exif, quality=95)
    photo = read(tmp_path / f"turned{suffix}")
    assert photo.picture.shape == (24, 40, 3)
    assert near(corners(photo.picture), [RED, GREEN, BLUE, WHITE], 12)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    layers = quarters().convert("RGBA")
    alpha = np.full((24, 40), 255, np.uint8)
    alpha[:12, :20] = 0
    layers.putalpha(Image.fromarray(alpha))
    layers.save(tmp_path / "a.png")
    layers.convert("LA").save(tmp_path / "la.png")
    assert near(corners(read(tmp_path / "a.png").picture), [WHITE, GREEN, BLUE, WHITE], 1)
    assert corners(read(tmp_path / "la.png").picture)[0] == WHITE


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    quarters().quantize(8).save(tmp_path / "p.png", transparency=quarters().quantize(8).getpixel((2, 2)))
    assert near(corners(read(tmp_path / "p.png").picture), [WHITE, GREEN, BLUE, WHITE], 8)


def test_grey_and_black_and_white(tmp_path: Path) -> None:
    quarters().convert("L").save(tmp_path / "l.png")
    quarters().convert("1").save(tmp_path / "bw.png")
    grey = read(tmp_path / "l.png").picture
    assert (grey[..., 0] == grey[..., 2]).all() and grey[-3, -3, 0] == 255
    assert read(tmp_path / "bw.png").picture[-3, -3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_of_grey_keep_their_upper_8(tmp_path: Path, suffix: str) -> None:
    values = np.linspace(0, 65535, 24 * 40).reshape(24, 40).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / f"deep{suffix}")
    assert np.array_equal(read(tmp_path / f"deep{suffix}").picture[..., 1], values >> 8)


def test_12_bits_in_16_are_not_black() -> None:
    assert to_8_bits(np.array([[0, 2048, 4095]], np.uint16)).tolist() == [[0, 128, 255]]
    assert to_8_bits(np.zeros((1, 2), np.uint16)).tolist() == [[0, 0]]


def test_fractions_with_holes_are_stretched() -> None:
    assert to_8_bits(np.array([[0.0, 0.5, 1.0]], np.float32)).tolist() == [[0, 128, 255]]
    assert to_8_bits(np.array([[-10.0, np.nan, 10.0]], np.float32)).tolist() == [[0, 128, 255]]


def test_cmyk_is_shown_as_its_colours(tmp_path: Path) -> None:
    quarters().convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert near(corners(read(tmp_path / "cmyk.jpg").picture), [RED, GREEN, BLUE, WHITE], 12)


def test_cmyk_with_a_profile_that_is_none_is_read_all_the_same(tmp_path: Path) -> None:
    quarters().convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95, icc_profile=b"nonsense")
    photo = read(tmp_path / "cmyk.jpg")
    assert near(corners(photo.picture), [RED, GREEN, BLUE, WHITE], 12) and photo.profile is None


def test_the_profile_of_an_rgb_photo_goes_on(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    quarters().save(tmp_path / "p3.jpg", icc_profile=profile)
    assert read(tmp_path / "p3.jpg").profile == profile


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_the_first_picture_of_an_animation_is_taken(tmp_path: Path, suffix: str) -> None:
    more = [Image.new("RGB", (40, 24), colour) for colour in ("black", "yellow")]
    quarters().save(tmp_path / f"many{suffix}", save_all=True, append_images=more)
    photo = read(tmp_path / f"many{suffix}")
    assert photo.frames == 3
    assert near(corners(photo.picture), [RED, GREEN, BLUE, WHITE], 40)


def cut_short(path: Path) -> None:
    quarters(400, 300).save(path, quality=95)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_what_is_no_image_is_told_in_one_line(tmp_path: Path) -> None:
    cut_short(tmp_path / "half.jpg")
    cut_short(tmp_path / "half.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    for name in ("half.jpg", "half.png", "empty.jpg", "text.png", "folder.png", "missing.jpg"):
        with pytest.raises(ImageError) as caught:
            read(tmp_path / name)
        text = str(caught.value)
        assert text.startswith(f"{tmp_path / name}: ") and "\n" not in text and text.count(name) == 1


def test_a_huge_image_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (3000, 2000)).save(tmp_path / "huge.png")
    monkeypatch.setattr(reading, "MAX_PIXELS", 5_000_000)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("its pixels were unpacked"))
    with pytest.raises(ImageError, match="huge.png: has 3000x2000 pixels, at most 5 million"):
        read(tmp_path / "huge.png")
