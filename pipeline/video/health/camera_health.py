"""Tells from the pictures of a camera whether it can see what it is meant to see.

Twice a second a picture is compared with the one before and with the views that are known of this camera. Only the
directions of edges are compared (`view.py`), which stay when the light changes, slowly or at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from pipeline.transport.planes import Plane
from pipeline.video.health.stillness import Stillness
from pipeline.video.health.view import View, downscale

OK = ""
BLACK, COVERED, FROZEN, MOVED, BLURRED = CONDITIONS = ("black", "covered", "frozen", "moved", "blurred")
"""What is wrong with the picture of a camera: nothing is bright in it; it shows nothing, as behind a cloth; it does not
change; it shows something else than before; it is out of focus."""

CHECK_S = 0.5
"""Time between the pictures that are looked at."""
BEGIN_S = {BLACK: 1.5, COVERED: 2.5, FROZEN: 0.0, MOVED: 2.0, BLURRED: 2.5}
"""How long a condition has to last before it is told; a frozen picture has lasted long enough already."""
END_S = 1.5
"""How long the picture has to be good before a condition ends."""
DARK = 40
"""Luma below which nothing can be seen, with black at 16."""
DARK_SHARE = 0.99, 0.97
"""Share of the pixels of a picture that is black, and of one that goes on being black."""
KEPT_EDGES = 0.2
"""With less than this share of the blocks that have edges, the camera is covered."""
SAME_VIEW = 0.36
"""With less than this share of the blocks agreeing, it is another view."""
BACK_AGAIN = 0.46
"""With at least this share, a view that has moved is the known one again."""
SAME_VIEW_IN_PLACE = 0.15
"""The same, where no other place suits better."""
FOUND_VIEW = 0.5
"""Share of the blocks that agree where a displaced view is found again."""
MOVED_SHARE = 0.012
"""Of the width: the view is displaced by more than this."""
SHARP = 0.5
"""Sharpness of a picture in focus, as a share of what it was."""
STEADY = 0.6
"""Agreement of a view with itself two seconds before: it is not noise."""
LEARN_S = 5.0
"""Length of the good part from which the first view is learnt."""
NEW_LIGHT_S = 60.0
"""A view in another light is learnt after this time of good pictures."""
NEW_LIGHT = 0.6
"""Agreement with all known views below which it is another light."""
VIEWS = 8
"""Number of views kept: by day, at dusk, by night, in rain."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What the picture of a camera is like.

    Attributes:
        name: one of `CONDITIONS`, or empty when it is good.
        since_s: when that began, in the seconds that `CameraHealth.update` was given.
    """

    name: str
    since_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A view as it can be kept in a file.

    Attributes:
        picture: (h, w) uint8 luma, downscaled.
        blocks: (rows, columns) bool: where its edges stand still.
    """

    picture: Plane
    blocks: NDArray[np.bool_]


class CameraHealth:
    """Watches the pictures of one camera.

    Args:
        fixed: the camera does not move by itself: a view that has moved is told.
        reference: the view as it was known before, e.g. in an earlier run. None: it is learnt.

    Attributes:
        condition: the present one.
    """

    def __init__(self, *, fixed: bool = True, reference: Reference | None = None) -> None:
        self._fixed = fixed
        self.condition = Condition(OK, 0.0)
        self._stillness = Stillness()
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=4)
        self._older: deque[View] = deque(maxlen=5)
        self._views: list[View] = []
        if reference is not None:
            self._views.append(View.of(reference.picture).only(reference.blocks))
        self._reference = reference
        self._shape: tuple[int, ...] = ()
        self._checked_s = -np.inf
        self._suspect = Condition(OK, 0.0)
        self._good_s = 0.0
        self._learnt_s = 0.0

    @property
    def reference(self) -> Reference | None:
        """The first view that was learnt, or given; None before."""
        return self._reference

    def update(self, luma: Plane, now_s: float) -> Condition:
        """Looks at the next picture, if it is time to.

        Args:
            luma: (H, W) uint8.
            now_s: when it came, on a clock that does not jump.

        Returns:
            The present condition.
        """
        if now_s - self._checked_s < CHECK_S - 0.01:
            return self.condition
        if now_s - self._checked_s > 4 * CHECK_S:  # no pictures came, or too few
            self._recent.clear()
            self._older.clear()
            self._good_s = self._learnt_s = now_s
            self._suspect = Condition(self.condition.name, now_s)
        self._checked_s = now_s
        name = self._look(luma, now_s)
        if name != self._suspect.name:
            self._suspect = Condition(name, now_s)
        lasts_s = now_s - self._suspect.since_s
        if name and name != self.condition.name and lasts_s >= BEGIN_S[name]:
            self.condition = self._suspect
        elif not name and self.condition.name and lasts_s >= END_S:
            self.condition = Condition(OK, now_s)
        return self.condition

    def _look(self, luma: Plane, now_s: float) -> str:
        """What this picture suggests."""
        frozen = self._stillness.update(luma, now_s)
        picture = downscale(luma)
        if picture.shape != self._shape:
            self._begin_size(picture.shape)
        self._recent.append(picture.astype(np.float32))
        was_black = self.condition.name == BLACK
        if np.count_nonzero(picture < DARK) >= DARK_SHARE[was_black] * picture.size:
            return BLACK
        mean = np.mean(np.stack(list(self._recent)), axis=0)
        view = View.of(mean, _noise(self._recent))
        name = self._compare(view)
        self._older.append(view)
        name = name if name == COVERED or not frozen else FROZEN
        if name:
            self._good_s = self._learnt_s = now_s
        else:
            self._learn(mean, view, now_s)
        return name

    def _begin_size(self, shape: tuple[int, ...]) -> None:
        """Forgets pictures and views of another shape."""
        self._shape = shape
        self._recent.clear()
        self._older.clear()
        self._views = [view for view in self._views if view.direction.shape[1:] == shape]

    def _compare(self, view: View) -> str:
        """What is wrong with a view, compared with those that are known."""
        if not self._views:
            return OK
        match, best = max(((one.match(view), one) for one in self._views), key=lambda pair: pair[0])
        if not best.comparable:
            return OK
        both = best.blocks & view.blocks
        if both.sum() < KEPT_EDGES * best.blocks.sum():
            return COVERED
        sharpness = float(np.median(view.sharpness[both]) / max(1e-6, np.median(best.sharpness[both])))
        if match < NEW_LIGHT and self._fixed and self._has_moved(view, best, match, sharpness):
            return MOVED
        return BLURRED if sharpness < SHARP else OK

    def _has_moved(self, view: View, best: View, match: float, sharpness: float) -> bool:
        x, y, found = best.displacement(view)
        if max(abs(x), abs(y)) > MOVED_SHARE * view.direction.shape[2]:
            if found > max(FOUND_VIEW, match + 0.15):
                return True
        elif match > SAME_VIEW_IN_PLACE and self.condition.name != MOVED:
            return False
        if (
            match > (BACK_AGAIN if self.condition.name == MOVED else SAME_VIEW)
            or sharpness < SHARP
            or not view.comparable
        ):
            return False
        return len(self._older) > 2 and self._older[-3].match(view) > STEADY

    def _learn(self, mean: NDArray[np.float32], view: View, now_s: float) -> None:
        """Keeps a view: the first, and later ones in another light."""
        if not self._good_s:
            self._good_s = self._learnt_s = now_s
        if self.condition.name or now_s - self._good_s < LEARN_S or len(self._older) < 5:
            return
        if self._views and now_s - self._learnt_s < NEW_LIGHT_S:
            return
        fixed = view.only(view.same_blocks(self._older[0]))  # what moves is no part of the view
        if not fixed.comparable:
            return
        self._learnt_s = now_s
        if not self._views:
            self._reference = Reference(np.clip(np.rint(mean), 0, 255).astype(np.uint8), fixed.blocks)
        elif max(one.match(view) for one in self._views) >= NEW_LIGHT:
            return
        self._views.append(fixed)
        if len(self._views) > VIEWS:
            del self._views[1]


def _noise(pictures: deque[NDArray[np.float32]]) -> float:
    """Standard deviation of the noise of the mean of some pictures; most of each shows the same as the one before."""
    if len(pictures) < 2:
        return 0.0
    difference = np.abs(pictures[-1] - pictures[-2])
    return float(np.median(difference)) / 0.954 / sqrt(len(pictures))
