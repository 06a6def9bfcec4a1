"""`tallycam check`: is a configuration valid, and what would it do?"""

from __future__ import annotations

from pipeline.cli.options import ConfigPath, Overrides, Source


def check(config: ConfigPath, overrides: Overrides = None, source: Source = None) -> None:
    """Check CONFIG without running it, and list what it would count."""
    from pipeline.config.load import load
    from pipeline.runtime.run import check as check_run

    loaded = load(config, overrides or (), source)
    classes = check_run(loaded)
    for name, stream in loaded.streams.items():
        lines = ", ".join(stream.lines) or "none"
        zones = ", ".join(stream.zones) or "none"
        print(f"{name}: lines {lines}; zones {zones}; {len(classes)} classes")
    print(f"{config}: right")
