"""`tallycam check`: whether a configuration is valid, and what it counts"""

from __future__ import annotations

from pipeline.cli.options import ConfigPath, Overrides, Source


def check(config: ConfigPath, overrides: Overrides = None, source: Source = None) -> None:
    """Check CONFIG without running it, and list what it would count."""
    from pipeline.config.load import load
    from pipeline.runtime import preflight

    loaded = load(config, overrides or (), source)
    classes = preflight.check(loaded)
    for name, stream in loaded.streams.items():
        preflight.check_source(name, stream)
        lines = ", ".join(stream.lines) or "none"
        zones = ", ".join(stream.zones) or "none"
        rules = f"; rules {', '.join(stream.rules)}" if stream.rules else ""
        print(f"{name}: lines {lines}; zones {zones}{rules}; {len(classes)} classes")
    for line in preflight.notes(loaded):
        print(line)
    print(f"{config}: valid")
