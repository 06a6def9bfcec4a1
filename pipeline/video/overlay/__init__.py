"""The annotated picture. `Overlay` is all that the rest of Tallycam needs of it.

`overlay.py` draws a frame; `labels.py`, `trails.py`, `marks.py` (lines and zones) and `panel.py` are what it draws,
with the sizes and colours of `style.py`. `canvas.py` makes stamps, `paint.py` puts them on a frame's planes.
"""

from pipeline.video.overlay.overlay import Overlay

__all__ = ["Overlay"]
