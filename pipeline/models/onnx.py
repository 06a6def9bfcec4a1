"""Any YOLO segmentation export, run by ONNX Runtime. The arithmetic is in `yolo.py`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import yolo
from pipeline.models.base import Found
from pipeline.planes import Planes, planes_bytes

FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
USUAL_SIDE = 640
"""Side of the input where the model leaves it open."""
EXPECTED = "expected a YOLO segmentation export (v5 or v8/11 layout with prototypes)"


class OnnxSegmenter:
    """A YOLO segmentation model (a `pipeline.models.base.Segmenter`).

    Raises:
        ModelError: no ONNX Runtime, not a model, inputs or outputs of another kind, no CUDA where it is asked for.
    """

    classes: tuple[str, ...]
    device: str

    def __init__(self, config: ModelConfig) -> None:
        if config.path is None:
            raise ModelError("model.path: missing; give a file ending in .onnx")
        self._path, self._score, self._nms = config.path, config.score, config.nms
        names = class_names(config)
        self._session, self.device = _session(config)
        self._read_input()
        self._read_outputs()
        detections, prototypes = self._run([np.full((*self._hw, 3), yolo.GREY, np.uint8)])
        layout = yolo.Layout.of(detections.shape, prototypes.shape, self._hw)
        if layout is None:
            shapes = f"{list(detections.shape)} and {list(prototypes.shape)}"
            raise ModelError(f"{self._path}: outputs of shape {shapes}; {EXPECTED}")
        self._layout = layout
        self.classes = self._named(names, layout.classes)

    def warm_up(self) -> None:
        width, height = self._hw[1] // 2 * 2, self._hw[0] // 2 * 2
        self.segment([Planes.view(np.full(planes_bytes(width, height), 128, np.uint8), width, height)])

    def segment(self, frames: Sequence[Planes]) -> list[Found]:
        """One `Found` a frame. A model exported for a fixed batch is run as often as needed."""
        step = self._batch or max(1, len(frames))
        found: list[Found] = []
        for first in range(0, len(frames), step):
            found += self._batch_of(frames[first : first + step])
        return found

    def _batch_of(self, frames: Sequence[Planes]) -> list[Found]:
        height, width = self._hw
        boxes = [yolo.Letterbox.fit(frame.width, frame.height, width, height) for frame in frames]
        images = [box.image(frame, width, height) for box, frame in zip(boxes, frames, strict=True)]
        detections, prototypes = self._run(images)
        found = []
        for row, (box, frame) in enumerate(zip(boxes, frames, strict=True)):
            likely = yolo.candidates(detections[row], self._layout, prototypes.shape[1], self._score)
            likely = likely[np.flatnonzero(likely.class_ids < len(self.classes))]
            if self._layout.kind != "final":
                likely = yolo.suppress(likely, self._nms)
            found.append(yolo.finish(likely, prototypes[row], box, frame, self._hw))
        return found

    def _run(self, images: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Detections and prototypes, float32, at least one row for each of the (H, W, 3) uint8 RGB images."""
        blob = np.zeros((self._batch or len(images), 3, *self._hw), self._dtype)
        for row, image in enumerate(images):
            np.multiply(image.transpose(2, 0, 1), np.float32(1 / 255), out=blob[row], casting="same_kind")
        try:
            outputs = self._session.run(self._outputs, {self._input: blob})
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise ModelError(f"{self._path}: ONNX Runtime could not run it: {_first_line(error)}") from error
        detections, prototypes = (np.asarray(output, np.float32) for output in outputs)
        return detections, prototypes

    def _read_input(self) -> None:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{self._path}: {len(inputs)} inputs; {EXPECTED}, which has one")
        shape, kind = inputs[0].shape, inputs[0].type
        if kind not in FLOATS:
            raise ModelError(f"{self._path}: input of type {kind}; expected tensor(float) or tensor(float16)")
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise ModelError(f"{self._path}: input of shape {shape}; expected (batch, 3, height, width)")
        self._input, self._dtype = inputs[0].name, FLOATS[kind]
        self._batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        height, width = (side if isinstance(side, int) and side > 0 else USUAL_SIDE for side in shape[2:])
        self._hw = (height, width)

    def _read_outputs(self) -> None:
        outputs = self._session.get_outputs()
        detections = [output.name for output in outputs if len(output.shape) == 3]
        prototypes = [output.name for output in outputs if len(output.shape) == 4]
        if len(detections) != 1 or len(prototypes) != 1:
            shapes = ", ".join(f"{output.name} {output.shape}" for output in outputs)
            raise ModelError(f"{self._path}: outputs {shapes}; {EXPECTED}")
        self._outputs = [detections[0], prototypes[0]]

    def _named(self, names: tuple[str, ...] | None, count: int | None) -> tuple[str, ...]:
        if names is None:
            if count is None:
                raise ModelError(f"{self._path}: holds no class names; give them as model.classes")
            return yolo.COCO if count == len(yolo.COCO) else tuple(f"class{n}" for n in range(count))
        if count is not None and len(names) != count:
            raise ModelError(
                f"{self._path}: {len(names)} class names for {count} classes; mend model.classes"
            )
        return names


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Names from the file's metadata or the configuration; the model is loaded only where neither tells.

    Raises:
        ModelError: as `OnnxSegmenter`.
    """
    return class_names(config) or OnnxSegmenter(config).classes


def class_names(config: ModelConfig) -> tuple[str, ...] | None:
    """Names from the file's metadata, else from the configuration, else None. Needs no ONNX Runtime.

    Raises:
        ModelError: the file cannot be read, is not an ONNX model, or its names are not names.
    """
    assert config.path is not None
    text = metadata(config.path).get("names")
    if text is None:
        return config.classes
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ModelError(f"{config.path}: class names are unreadable: {text[:60]!r}") from error
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{config.path}: class names are {text[:60]!r}; expected {{0: 'name', ...}}")
    return tuple(names)


def metadata(path: Path) -> dict[str, str]:
    """`metadata_props` of an ONNX file, without reading its weights (ModelProto in onnx.proto3).

    Raises:
        ModelError: the file cannot be read or is not an ONNX model.
    """
    props: dict[str, str] = {}
    graphs = 0
    try:
        with path.open("rb") as file:
            end = path.stat().st_size
            while file.tell() < end:
                field, length = _field(file)
                if file.tell() + length > end:
                    raise ValueError("cut off")
                if field == 14:
                    pair = _pair(file, file.tell() + length)
                    props[pair.get(1, "")] = pair.get(2, "")
                else:
                    graphs += field == 7
                    file.seek(length, 1)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model file") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: is not an ONNX model ({error})") from error
    if graphs != 1:
        raise ModelError(f"{path}: is not an ONNX model (it holds no graph)")
    return props


def _field(file: IO[bytes]) -> tuple[int, int]:
    """Number of the protobuf field that begins here, and how many bytes of it follow."""
    key = _varint(file)
    match key & 7:
        case 0:
            _varint(file)
            return key >> 3, 0
        case 1:
            return key >> 3, 8
        case 2:
            return key >> 3, _varint(file)
        case 5:
            return key >> 3, 4
    raise ValueError("no protobuf message")


def _pair(file: IO[bytes], end: int) -> dict[int, str]:
    pair: dict[int, str] = {}
    while file.tell() < end:
        field, length = _field(file)
        pair[field] = file.read(min(length, end - file.tell())).decode()
    return pair


def _varint(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no protobuf message")


def _session(config: ModelConfig) -> tuple[Any, str]:
    """An `onnxruntime.InferenceSession` and the device it runs on."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"{config.path}: ONNX Runtime is not installed; pip install 'tallycam[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; its own log goes to stderr behind our back
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # cores belong to other stages, too
    if config.threads is not None:
        options.intra_op_num_threads = config.threads
    wanted = config.device
    providers: list[Any] = ["CPUExecutionProvider"]
    can_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    number = wanted.partition(":")[2] or "0"
    if wanted.partition(":")[0] not in ("auto", "cpu", "cuda") or not number.isdecimal():
        raise ModelError(f"model.device: got {wanted}, expected auto, cpu, cuda or cuda:N")
    if wanted != "cpu" and can_cuda:
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(number)}))
    try:
        session = onnxruntime.InferenceSession(str(config.path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise ModelError(f"{config.path}: ONNX Runtime cannot load it: {_first_line(error)}") from error
    on_cuda = "CUDAExecutionProvider" in session.get_providers()
    if wanted.startswith("cuda") and not on_cuda:
        raise ModelError(
            f"model.device: got {wanted}, but ONNX Runtime has no CUDA here; install onnxruntime-gpu or use cpu"
        )
    return session, f"cuda:{number}" if on_cuda else "cpu"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
