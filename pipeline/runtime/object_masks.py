"""`tallycam recount --masks`: the masks of the tracked objects of each frame, as COCO JSON or as pictures.

COCO JSON (https://cocodataset.org/#format-data) with a record of each frame in `images` and of each object in it in
`annotations`, with `track_id` as in TAO and BURST. Pictures are 16-bit PNG, one for each frame: the value of a pixel is
the number of its object, 0 is background; `objects.csv` says which class a number is of.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import __version__
from pipeline.errors import OutputError
from pipeline.files import make_folder, replacing, write_bytes, write_text, writing
from pipeline.geometry.mask_paste import paste_mask_region
from pipeline.geometry.rle import encode_region
from pipeline.records.log_header import LogHeader
from pipeline.transport.messages import FrameTracks, Instances

LARGEST = 65_535
"""Largest number of an object in a 16-bit picture."""


AddMasks = Callable[[Instances, FrameTracks], None]
"""Takes a frame of the log with its objects."""


def mask_writer(path: Path, header: LogHeader, final: Mapping[int, int]) -> AbstractContextManager[AddMasks]:
    """What writes masks to a path, frame by frame: complete when its `with` block ends.

    Args:
        path: COCO JSON where its name ends with `.json`, else a folder of pictures.
        header: of the log.
        final: number of an object in the frames -> its final one.

    Raises:
        OutputError: the folder is not empty, or something cannot be written.
    """
    return (_coco if path.suffix.lower() == ".json" else _pictures)(path, header, final)


@contextmanager
def _coco(path: Path, header: LogHeader, final: Mapping[int, int]) -> Iterator[AddMasks]:
    images: list[dict[str, object]] = []
    count = 0
    make_folder(path.parent)
    with replacing(path) as part, writing(path), part.open("w", encoding="utf-8") as file:

        def add(frame: Instances, tracks: FrameTracks) -> None:
            nonlocal count
            image = _image(header.stream, frame, len(images) + 1)
            images.append(image)
            for row in range(len(tracks.ids)):
                if (annotation := _annotation(frame, tracks, row, final)) is not None:
                    count += 1
                    record = {"id": count, "image_id": image["id"]} | annotation
                    file.write(("\n" if count == 1 else ",\n") + json.dumps(record))

        file.write('{"annotations": [')
        yield add
        rest = {
            "info": {"description": f"written by tallycam {__version__}", "version": "1.0"},
            "videos": [{"id": 1, "name": header.stream}],
            "categories": [{"id": n, "name": name} for n, name in enumerate(header.classes, start=1)],
            "images": images,
        }
        file.write("\n], " + json.dumps(rest)[1:] + "\n")


def _image(stream: str, frame: Instances, number: int) -> dict[str, object]:
    return {
        "id": number,
        "video_id": 1,
        "file_name": f"{stream}/{frame.index:09d}.jpg",
        "width": frame.width,
        "height": frame.height,
        "frame_index": frame.index,
        "time_s": round(frame.pts_s, 4),
    }


def _annotation(
    frame: Instances, tracks: FrameTracks, row: int, final: Mapping[int, int]
) -> dict[str, object] | None:
    """An object of a frame; None where its mask covers no pixel."""
    box, number = tracks.boxes_px[row], int(tracks.ids[row])
    (x, y), inside = paste_mask_region(tracks.masks[row], box, frame.width, frame.height)
    if not inside.any():
        return None
    x0, y0, x1, y1 = (round(float(value), 2) for value in box)
    return {
        "category_id": int(tracks.class_ids[row]) + 1,
        "track_id": final.get(number, number),
        "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
        "area": int(np.count_nonzero(inside)),
        "segmentation": {
            "size": [frame.height, frame.width],
            "counts": encode_region(inside, x, y, frame.width, frame.height),
        },
        "score": round(float(tracks.scores[row]), 4),
        "iscrowd": 0,
    }


@contextmanager
def _pictures(folder: Path, header: LogHeader, final: Mapping[int, int]) -> Iterator[AddMasks]:
    make_folder(folder)
    if any(folder.iterdir()):
        raise OutputError(f"{folder}: is not empty; give a new folder with --masks")
    classes: dict[int, str] = {}

    def add(frame: Instances, tracks: FrameTracks) -> None:
        picture = np.zeros((frame.height, frame.width), np.uint16)
        for row in _from_back_to_front(tracks.boxes_px):
            number = final.get(int(tracks.ids[row]), int(tracks.ids[row]))
            if number > LARGEST:
                raise OutputError(
                    f"--masks: more than {LARGEST} objects do not fit into pictures; give FILE.json"
                )
            (x, y), inside = paste_mask_region(
                tracks.masks[row], tracks.boxes_px[row], frame.width, frame.height
            )
            picture[y : y + inside.shape[0], x : x + inside.shape[1]][inside] = number
            classes[number] = header.classes[int(tracks.class_ids[row])]
        _, png = cv2.imencode(".png", picture)
        write_bytes(folder / f"{frame.index:09d}.png", png.tobytes())

    yield add
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(("object", "class"))
    table.writerows(sorted(classes.items()))
    write_text(folder / "objects.csv", rows.getvalue())


def _from_back_to_front(boxes_px: NDArray[np.float32]) -> Sequence[int]:
    """Rows in the order in which their masks are painted: what stands lower in the picture is nearer."""
    order: list[int] = np.argsort(boxes_px[:, 3], kind="stable").tolist()
    return order
