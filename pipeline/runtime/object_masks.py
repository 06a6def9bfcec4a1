"""`tallycam recount --masks`: the masks of the tracked objects of each frame, as COCO JSON or as pictures.

COCO JSON (https://cocodataset.org/#format-data) with a record of each frame in `images` and of each object in it in
`annotations`, with `track_id` as in TAO and BURST. Pictures are 16-bit PNG, one for each frame: the value of a pixel is
the number of its object, 0 is background; `objects.csv` says which class a number is of.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

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


class MaskWriter(Protocol):
    """Writes the masks of one stream, frame by frame; complete when its `with` block ends."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, frame: Instances, tracks: FrameTracks) -> None:
        """Takes one frame.

        Args:
            frame: of the log.
            tracks: its objects.
        """


def mask_writer(path: Path, header: LogHeader, final: Mapping[int, int]) -> MaskWriter:
    """What writes masks to a path: COCO JSON where its name ends with `.json`, else a folder of pictures.

    Args:
        path: the file or the folder.
        header: of the log.
        final: number of an object in the frames -> its final one.

    Raises:
        OutputError: the folder is not empty.
    """
    if path.suffix.lower() == ".json":
        return _CocoMasks(path, header, final)
    return _MaskPictures(path, header, final)


class _CocoMasks:
    def __init__(self, path: Path, header: LogHeader, final: Mapping[int, int]) -> None:
        self._path, self._header, self._final = path, header, final
        self._images: list[dict[str, object]] = []
        self._count = 0
        self._file: IO[str]

    def __enter__(self) -> Self:
        make_folder(self._path.parent)
        self._replacing = replacing(self._path)
        self._part = self._replacing.__enter__()
        with writing(self._path):
            self._file = self._part.open("w", encoding="utf-8")
        self._file.write('{"annotations": [')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            rest = {
                "info": {"description": f"written by tallycam {__version__}", "version": "1.0"},
                "videos": [{"id": 1, "name": self._header.stream}],
                "categories": [
                    {"id": number, "name": name} for number, name in enumerate(self._header.classes, start=1)
                ],
                "images": self._images,
            }
            with writing(self._path):
                self._file.write("\n], " + json.dumps(rest)[1:] + "\n")
        self._file.close()
        self._replacing.__exit__(kind, error, trace)

    def add(self, frame: Instances, tracks: FrameTracks) -> None:
        image = len(self._images) + 1
        name = f"{self._header.stream}/{frame.index:09d}.jpg"
        self._images.append(
            {
                "id": image, "video_id": 1, "file_name": name, "width": frame.width, "height": frame.height,
                "frame_index": frame.index, "time_s": round(frame.pts_s, 4),
            }
        )  # fmt: skip
        for row, number in enumerate(tracks.ids.tolist()):
            box = tracks.boxes_px[row]
            (x, y), inside = paste_mask_region(tracks.masks[row], box, frame.width, frame.height)
            if not inside.any():
                continue
            x0, y0, x1, y1 = (round(float(value), 2) for value in box)
            self._count += 1
            record = {
                "id": self._count,
                "image_id": image,
                "category_id": int(tracks.class_ids[row]) + 1,
                "track_id": self._final.get(number, number),
                "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
                "area": int(np.count_nonzero(inside)),
                "segmentation": {
                    "size": [frame.height, frame.width],
                    "counts": encode_region(inside, x, y, frame.width, frame.height),
                },
                "score": round(float(tracks.scores[row]), 4),
                "iscrowd": 0,
            }
            with writing(self._path):
                self._file.write(("\n" if self._count == 1 else ",\n") + json.dumps(record))


class _MaskPictures:
    def __init__(self, path: Path, header: LogHeader, final: Mapping[int, int]) -> None:
        self._folder, self._header, self._final = path, header, final
        self._classes: dict[int, str] = {}

    def __enter__(self) -> Self:
        make_folder(self._folder)
        if any(self._folder.iterdir()):
            raise OutputError(f"{self._folder}: is not empty; give a new folder with --masks")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            rows = io.StringIO()
            table = csv.writer(rows, lineterminator="\n")
            table.writerow(("object", "class"))
            table.writerows(sorted(self._classes.items()))
            write_text(self._folder / "objects.csv", rows.getvalue())

    def add(self, frame: Instances, tracks: FrameTracks) -> None:
        picture = np.zeros((frame.height, frame.width), np.uint16)
        for row in _from_back_to_front(tracks.boxes_px):
            number = self._final.get(int(tracks.ids[row]), int(tracks.ids[row]))
            if number > LARGEST:
                raise OutputError(
                    f"--masks: more than {LARGEST} objects do not fit into pictures; give FILE.json"
                )
            (x, y), inside = paste_mask_region(
                tracks.masks[row], tracks.boxes_px[row], frame.width, frame.height
            )
            picture[y : y + inside.shape[0], x : x + inside.shape[1]][inside] = number
            self._classes[number] = self._header.classes[int(tracks.class_ids[row])]
        _, png = cv2.imencode(".png", picture)
        write_bytes(self._folder / f"{frame.index:09d}.png", png.tobytes())


def _from_back_to_front(boxes_px: NDArray[np.float32]) -> Sequence[int]:
    """Rows in the order in which their masks are painted: what stands lower in the picture is nearer."""
    order: list[int] = np.argsort(boxes_px[:, 3], kind="stable").tolist()
    return order
