"""One process of a run, from its context to its exit status."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

from pipeline.errors import TallycamError
from pipeline.logs.destinations import run_log_path
from pipeline.logs.sender import send_logs
from pipeline.stages.context import StageContext
from pipeline.stages.run_spec import RunSpec
from pipeline.stages.topology import Process, processes
from pipeline.transport.messages import Beat, Report
from pipeline.transport.sockets import DealerSocket, Endpoints

log = logging.getLogger("pipeline.stages")


def run_stage(spec_path: Path, name: str, incarnation: int, *, bare: bool = False) -> int:
    """Runs one process to its end.

    Args:
        spec_path: File with the `RunSpec`.
        name: Of the process, e.g. `decode/gate`.
        incarnation: Of the process, from 0.
        bare: As in `StageContext`.

    Returns:
        The exit status, which tells the supervisor whether the end was in order.
    """
    parent = os.getppid()
    spec = RunSpec.read(spec_path)
    process = next(one for one in processes(spec.config, spec.places) if one.name == name)
    send_logs(name, process.stream, spec.log_level, run_log_path(spec.out), spec.log_form)
    context = replace(context_of(spec, process, incarnation), bare=bare)
    endpoints = Endpoints(spec_path.parent)
    module, _, cls = process.stage.runs.partition(":")
    try:
        getattr(importlib.import_module(module), cls)(context).run(endpoints)
    except Exception as error:
        if not isinstance(error, TallycamError):
            log.exception("failed: %s", _one_line(error))
        _tell_supervisor(error, context, endpoints)
        return 1
    finally:
        if os.getppid() != parent:  # the supervisor was killed and cannot clean up
            shutil.rmtree(spec_path.parent, ignore_errors=True)
    return 0


def context_of(spec: RunSpec, process: Process, incarnation: int) -> StageContext:
    """The context of one process of the run.

    Args:
        spec: Of the run.
        process: Entry of `topology.processes`.
        incarnation: Of the process, from 0.
    """
    base = spec.config.metrics.port
    offset = spec.places.port_offset(process.stage.name, process.index, spec.config)
    return StageContext(
        name=process.name,
        index=process.index,
        incarnation=incarnation,
        config=spec.config,
        out=spec.out,
        run=spec.run,
        classes=spec.classes,
        tracks=spec.tracks,
        metrics_port=base + 1 + offset if base else 0,
        placement=spec.places,
        revision=spec.revision,
    )


def _tell_supervisor(error: Exception, context: StageContext, endpoints: Endpoints) -> None:
    """Sends the last beat: why the stage failed, with an exit code if the user can fix it."""
    socket = DealerSocket(endpoints.supervisor, f"{context.identity}!")
    socket.send(
        Beat(
            process=context.name,
            incarnation=context.incarnation,
            state="failed",
            report=Report(),
            error=_one_line(error),
            exit_code=error.exit_code if isinstance(error, TallycamError) else 0,
        )
    )
    socket.close()


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, TallycamError) else f"{type(error).__name__}: {error}"
    return next(iter(text.strip().splitlines()), type(error).__name__)
