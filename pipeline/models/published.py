"""Files with published models: fetched once, kept in a cache, and checked by their hash before each use."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.files import make_folder, reading, replacing
from pipeline.models.download import Hash, download, hash_of


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file that somebody publishes.

    Attributes:
        model: the value of `model.name` that needs it.
        url: where it is downloaded from.
        path: where it is kept.
        hash: what is known of its content.
        megabytes: its size; 0 where it is unknown.
    """

    model: str
    url: str
    path: Path
    hash: Hash
    megabytes: float = 0.0

    def fetch(self, *, progress: bool = True) -> Path:
        """The file, downloaded where it is missing.

        Args:
            progress: whether a download draws a progress bar.

        Raises:
            ModelError: it is missing and cannot be downloaded, or is damaged.
        """
        if self.path.is_file():
            self._check(self.path, "remove it, and it is downloaded again")
            return self.path
        try:
            download(self.url, self.path, self.hash, progress=progress)
        except ModelError as error:
            size = f" ({self.megabytes:.0f} MB)" if self.megabytes else ""
            raise ModelError(
                f"model.name: {self.model} needs the file {self.path.name}{size}: {error}; download it on another "
                f"machine and give it with `tallycam models pull {self.model} --from FILE`, or put it there as "
                f"{self.path}"
            ) from error
        return self.path

    def take(self, file: Path) -> Path:
        """Copies a file that was downloaded elsewhere into the cache.

        Args:
            file: the downloaded file.

        Returns:
            Where it is kept.

        Raises:
            ModelError: it cannot be read, or is another file.
            OutputError: the cache cannot be written.
        """
        self._check(file, "download it again")
        make_folder(self.path.parent)
        with replacing(self.path) as part:
            shutil.copyfile(file, part)
        return self.path

    def _check(self, file: Path, advice: str) -> None:
        with reading(file, ModelError):
            digest = hash_of(file, self.hash.algorithm)
        if not self.hash.fits(digest):
            raise ModelError(
                f"{file}: damaged, or another file (its hash begins with {digest[:8]}, expected "
                f"{self.hash.digits[:8]}); {advice} from {self.url}"
            )


def cache_folder() -> Path:
    """Where models are kept that were made or fetched: `XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallycam" / "models"
