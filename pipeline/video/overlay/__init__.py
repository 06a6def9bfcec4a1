"""The annotated picture. The rest of Tallycam only needs `Overlay`.

`overlay.py` draws a frame out of `labels.py`, `trails.py`, `line_mark.py`, `zone_mark.py` and `count_panel.py`, in the
sizes of `style.py` and the colours of `colours.py`; `placement.py` keeps texts apart. `canvas.py` makes stamps,
`stamp.py` composites them onto a frame's planes, `strokes.py` draws lines and fills.
"""

from pipeline.video.overlay.overlay import Overlay

__all__ = ["Overlay"]
