"""Writes a rendered scene as an H.264 clip with its truth: `python -m pipeline.demo.clip --seed 7 --out FOLDER`."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene.truth import scene_truth
from pipeline.demo.scene.world import Rendered, Scene
from pipeline.files import writing
from pipeline.records.scene_truth import SceneTruth, write_truth

DATA = Path(__file__).parent / "data"
DEMO_VIDEO = DATA / "demo.mp4"
DEMO_TRUTH = DATA / "demo-truth.json.gz"
DEMO_SEED = 11


def write_clip(scene: Scene, video_path: Path, truth_path: Path, crf: int = 27) -> SceneTruth:
    """Renders a finite scene to H.264 (yuv420p) and writes its truth. Frame i is at time i / fps.

    Args:
        scene: the scene.
        video_path: of the clip, MP4.
        truth_path: of the truth, JSON; gzipped if its name ends in `.gz`.
        crf: x264's quality; lower is better.

    Returns:
        The truth.

    Raises:
        OutputError: a file cannot be written.
    """
    with writing(video_path, "choose another folder"):
        with av.open(str(video_path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(scene.fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
            stream.options = {
                "crf": str(crf),
                "preset": "slow",
                "threads": "1",
            }  # several threads would make the bytes depend on the machine

            def each(rendered: Rendered) -> None:
                frame = av.VideoFrame.from_ndarray(rendered.image, format="rgb24")
                for packet in stream.encode(frame):
                    container.mux(packet)

            truth = scene_truth(scene, each)
            for packet in stream.encode():
                container.mux(packet)
        write_truth(truth, truth_path)
    return truth


def bundled_frames(count: int, size: tuple[int, int] | None = None) -> list[NDArray[np.uint8]]:
    """Frames of the bundled clip, one from every 30.

    Args:
        count: how many, at most 10.
        size: width and height in pixels; default: those of the clip.

    Returns:
        (H, W, 3) uint8 RGB, each.
    """
    frames: list[NDArray[np.uint8]] = []
    with av.open(str(DEMO_VIDEO)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % 30 == 15:
                width, height = size or (frame.width, frame.height)
                frames.append(
                    np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height), np.uint8)
                )
            if len(frames) == count:
                break
    return frames


def main(arguments: list[str] | None = None) -> int:
    """Command line: writes `demo.mp4` and `demo-truth.json.gz`.

    Args:
        arguments: Words of the command line; None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m pipeline.demo.clip", description=__doc__)
    parser.add_argument("--seed", type=int, default=DEMO_SEED)
    parser.add_argument("--out", type=Path, default=DATA, help="folder (default: the package's data)")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--size", default="640x360", help="WxH in pixels")
    parser.add_argument("--crf", type=int, default=27, help="x264 quality, lower is better")
    given = parser.parse_args(arguments)
    width, height = (int(part) for part in given.size.split("x"))
    scene = Scene.from_seed(given.seed, width=width, height=height, duration_s=given.seconds)
    given.out.mkdir(parents=True, exist_ok=True)
    truth = write_clip(scene, given.out / DEMO_VIDEO.name, given.out / DEMO_TRUTH.name, given.crf)
    sys.stdout.write(
        f"unique {truth.unique}\nlines {truth.lines}\nzones {truth.zones}\nignored {truth.ignored}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
