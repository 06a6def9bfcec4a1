"""What `tallycam run` counts: a configuration file, or a source by itself."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pipeline.config.additions import Additions
from pipeline.config.from_source import is_configuration, stream_name
from pipeline.config.load import load, load_source
from pipeline.config.schema import Config
from pipeline.errors import ConfigError, OutputError
from pipeline.files import reading, write_bytes
from pipeline.models import registry
from pipeline.redact import redact
from pipeline.runtime import preflight
from pipeline.video.sources.kinds import find_kind


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The arguments of `tallycam run` that make its configuration; see its help.

    Attributes:
        target: the file of a configuration, or a source.
        additions: of `--line`, `--zone` and `--class`.
        overrides: of `--set`.
        source: of `--source`.
        start: of `--start`.
        show: whether there is a live picture.
        save: of `--save`.
    """

    target: str
    additions: Additions
    overrides: tuple[str, ...] = ()
    source: str | None = None
    start: str | None = None
    show: bool = False
    save: Path | None = None

    def load(self) -> tuple[Config, str | None]:
        """The configuration, and its YAML if it is that of a source by itself, which is then saved where it is wanted.

        Raises:
            ConfigError: one line for each mistake; two options exclude each other; the file of `--save` exists.
            SourceError: there is no such source.
            ModelError: no model can be had, or it lacks a class.
            OutputError: the file cannot be written.
        """
        if is_configuration(self.target):
            config = self._load_file()
            return config.model_copy(update={"model": registry.chosen(config.model)}), None
        return self._load_source()

    def _load_file(self) -> Config:
        if self.save is not None:
            raise ConfigError(
                f"--save writes the configuration of a source by itself, and {self.target} is a configuration already"
            )
        path = Path(self.target)
        loaded = load(path, self._overrides(), self.source, self.additions)
        if self.start is None:
            return loaded
        if len(loaded.streams) > 1:
            raise ConfigError(
                "--start: there are several streams; set streams.NAME.start of each in the configuration"
            )
        return load(path, self._overrides(next(iter(loaded.streams))), self.source, self.additions)

    def _load_source(self) -> tuple[Config, str]:
        if self.source is not None:
            raise ConfigError(
                f"--source replaces the source of a configuration, and {redact(self.target)} is a source; leave out "
                "one of them"
            )
        kind = find_kind(self.target)
        source = self.target
        if self.save is not None and kind.on_disk and not _is_beside(self.save):
            source = os.path.abspath(kind.target(source))
        name = stream_name(source)
        overrides = self._overrides(name, show=False)
        config, text = load_source(source, overrides, self.additions)
        preflight.check(config)
        preflight.check_source(name, config.streams[name])
        model = registry.chosen(config.model).name
        if model != config.model.name:
            config, text = load_source(source, [*overrides, f"model.name={model}"], self.additions)
        if self.save is not None:
            _save(self.save, text)
        if self.show:
            live = config.output.live.model_copy(update={"enabled": True})
            config = config.model_copy(update={"output": config.output.model_copy(update={"live": live})})
        return config, text

    def _overrides(self, stream: str | None = None, *, show: bool = True) -> list[str]:
        """The values of `--set`, and the options that stand for one; that of `--start` if `stream` is named."""
        started = stream is not None and self.start is not None
        return [
            *self.overrides,
            *([f"streams.{stream}.start={json.dumps(self.start)}"] if started else []),
            *(["output.live.enabled=true"] if self.show and show else []),
        ]


def print_configuration(console: Console, text: str, saved: Path | None) -> None:
    """Prints the YAML of a source by itself, without passwords.

    Args:
        console: where to.
        text: the YAML.
        saved: the file that holds it, if there is one.
    """
    shown = redact(text)
    console.print(shown.rstrip(), style="dim", markup=False, highlight=False, soft_wrap=True)
    if saved is not None:
        secret = " It holds a password, and only you can read it." if shown != text else ""
        console.print(
            f"Saved for `tallycam run {saved}`.{secret}", markup=False, highlight=False, soft_wrap=True
        )


def _is_beside(file: Path) -> bool:
    """Whether a file is in the current folder, so that relative paths in it mean the same as here."""
    return file.absolute().parent.resolve() == Path.cwd()


def _save(path: Path, text: str) -> None:
    """Writes a configuration for its owner alone: it may hold a password."""
    if os.path.lexists(path):
        with reading(path, OutputError):
            if path.is_dir() or path.read_bytes() != text.encode():
                raise ConfigError(f"--save: there is another {path} already; give another name, or remove it")
        return
    write_bytes(
        path, text.encode("utf-8", "surrogateescape"), mode=0o600, advice="give another name with --save"
    )
