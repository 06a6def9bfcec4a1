"""How long the files of streams without end are kept."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.fields import ConfigModel


class RetentionConfig(ConfigModel):
    """When logs, videos and pictures of streams without end are deleted, oldest first. Counts and events are kept."""

    days: float | None = Field(
        7.0, gt=0, description="days after which they are deleted; null: not because of their age"
    )
    disk_percent: float | None = Field(
        80.0,
        gt=0,
        le=100,
        description="share of the disk in use, by whatever, above which the oldest are deleted; null: never",
    )
