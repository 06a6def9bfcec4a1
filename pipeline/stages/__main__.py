"""One process of a run: `python -m pipeline.stages SPEC PROCESS INCARNATION`, started by the supervisor."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import traceback
from pathlib import Path

from pipeline.errors import TallycamError
from pipeline.stages.context import StageContext
from pipeline.stages.run_spec import RunSpec
from pipeline.stages.topology import Process, processes
from pipeline.transport.messages import Beat, Report
from pipeline.transport.sockets import DealerSocket, Endpoints


def context_of(spec: RunSpec, process: Process, incarnation: int) -> StageContext:
    """The place of one process in the run."""
    names = [one.name for one in processes(spec.config)]
    base = spec.config.metrics.port
    return StageContext(
        name=process.name,
        index=process.index,
        incarnation=incarnation,
        config=spec.config,
        out=spec.out,
        run=spec.run,
        classes=spec.classes,
        tracks=spec.tracks,
        metrics_port=base + 1 + names.index(process.name) if base else 0,
    )


def main(arguments: list[str]) -> int:
    """Runs one process to its end; the exit code tells the supervisor whether that was in order."""
    path, name, incarnation = Path(arguments[0]), arguments[1], int(arguments[2])
    parent = os.getppid()
    spec = RunSpec.read(path)
    process = next(one for one in processes(spec.config) if one.name == name)
    context = context_of(spec, process, incarnation)
    endpoints = Endpoints(path.parent)
    module, _, cls = process.stage.runs.partition(":")
    try:
        getattr(importlib.import_module(module), cls)(context).run(endpoints)
    except Exception as error:
        mendable = isinstance(error, TallycamError)
        if not mendable:
            traceback.print_exc()
        text = (str(error) if mendable else f"{type(error).__name__}: {error}").strip()
        beat = Beat(
            process=name,
            incarnation=incarnation,
            state="failed",
            report=Report(),
            error=text.splitlines()[0] if text else type(error).__name__,
            exit_code=error.exit_code if isinstance(error, TallycamError) else 0,
        )
        peer = DealerSocket(endpoints.supervisor, f"{context.identity}!")
        peer.send(beat)
        peer.close()
        return 1
    finally:
        if os.getppid() != parent:  # the supervisor was killed: nobody else will clean up
            shutil.rmtree(path.parent, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
