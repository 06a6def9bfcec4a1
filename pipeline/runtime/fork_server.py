"""Starts stages as forks of one process that has imported their libraries.

The imports of a stage take half a second of a core and some 60 MB. Here they are made once: a stage, and each restart
of it, begins after milliseconds and shares their memory. The process has a single thread and does nothing but fork, as
`multiprocessing.forkserver` does. Unlike there, a stage is a child of the supervisor: it is forked twice, and the
supervisor adopts what its parent leaves behind (prctl(2), PR_SET_CHILD_SUBREAPER). So the supervisor gets its exit
status from the kernel, a stage notices the end of its supervisor, and a fork server that dies takes nothing with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from setproctitle import setproctitle

import pipeline
from pipeline.errors import StageError
from pipeline.stages.heartbeat import STOP_SIGNALS
from pipeline.stages.stage_process import run_stage
from pipeline.stages.topology import STAGES

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP threads would otherwise spin while they wait for each other, on cores that the other stages need."""
ANSWER_S = 60.0
"""Longest time for an answer, the first one includes all imports; then the fork server is replaced."""
IMPORTED_TOO = ("pipeline.sinks.event_outlet",)
"""Modules that a stage imports late, and always."""
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_MESSAGE_BYTES = 64 * 1024


class Request(msgspec.Struct, frozen=True, array_like=True):
    """Asks for one process. Its output and the lock of the run's folder come along as file descriptors."""

    spec: str
    name: str
    incarnation: int
    bare: bool = False


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The process that was started, or the number of the error that kept it from being started."""

    pid: int = 0
    error: int = 0


class ForkServer:
    """The supervisor's side. The fork server is started at once, so that it imports while the run is prepared."""

    def __init__(self) -> None:
        self._adopted_before = _adopts()
        _adopt(True)
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # inherited, it would lose the exit statuses
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._launch()

    def start(
        self, spec: Path, name: str, incarnation: int, descriptors: Sequence[int], *, bare: bool = False
    ) -> int:
        """Starts a process of a run.

        Args:
            spec: File with the `RunSpec`.
            name: Of the process.
            incarnation: Higher than those of its predecessors.
            descriptors: Where its output goes, and what it has to keep open.
            bare: As in `StageContext`.

        Returns:
            Its pid; it is a child of this process.

        Raises:
            OSError: The system does not let another process start.
        """
        request = Request(str(spec), name, incarnation, bare)
        try:
            return self._ask(request, descriptors)
        except (ConnectionError, TimeoutError):  # it was killed, or stopped: the next one has to do
            self._end()
            self._launch()
        try:
            return self._ask(request, descriptors)
        except (ConnectionError, TimeoutError) as error:
            raise OSError(errno.EAGAIN, f"{name} cannot be started: {error}") from None

    def close(self) -> None:
        """Ends the fork server; what it has started goes on."""
        self._end()
        _adopt(self._adopted_before)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(ANSWER_S)
        # -P: without it `python -m` looks in the working folder first, and a file there that is called `av.py` or
        # `pipeline.py` would be executed in place of the module that a stage wants.
        words = ["-P", "-m", "pipeline.runtime.fork_server", str(theirs.fileno()), str(os.getpid())]
        with theirs, _stop_signals_blocked():
            self._process = subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=QUIET_THREADS | os.environ | _path_of_the_package(),
            )
        self._socket = ours

    def _end(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, request: Request, descriptors: Sequence[int]) -> int:
        socket.send_fds(self._socket, [msgspec.msgpack.encode(request)], list(descriptors))
        data = self._socket.recv(_MESSAGE_BYTES)
        if not data:
            raise ConnectionResetError("the fork server has ended")
        answer = msgspec.msgpack.decode(data, type=Answer)
        if answer.error:
            raise OSError(answer.error, os.strerror(answer.error))
        return answer.pid


def _adopts() -> bool:
    """Whether this process adopts those whose parents have ended."""
    flag = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(flag), 0, 0, 0)
    return bool(flag.value)


def _adopt(adopts: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0):
        raise StageError(
            f"this system does not let a process adopt others (prctl PR_SET_CHILD_SUBREAPER: "
            f"{os.strerror(ctypes.get_errno())}); Linux 3.4 or later is needed"
        )


def serve(requests: socket.socket, supervisor: int) -> int:
    """Forks a process for each request. It returns in every one of these, and here when the supervisor is gone.

    Args:
        requests: Connected to the supervisor.
        supervisor: Its pid.

    Returns:
        Exit status of this process.
    """
    setproctitle("tallycam fork-server")
    for name in (*(stage.runs.partition(":")[0] for stage in STAGES), *IMPORTED_TOO):
        with contextlib.suppress(ImportError):  # the stage meets it again, and says so
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the collector of a stage would otherwise write to all the pages that it shares
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, _MESSAGE_BYTES, 2)
        if not data:
            return 0
        request = msgspec.msgpack.decode(data, type=Request)
        try:
            pid = _fork_twice()
        except OSError as error:
            requests.send(msgspec.msgpack.encode(Answer(error=error.errno or errno.EAGAIN)))
        else:
            if pid == 0:
                requests.close()
                return _run(request, descriptors, supervisor)
            requests.send(msgspec.msgpack.encode(Answer(pid)))
        for descriptor in descriptors:
            os.close(descriptor)


def _fork_twice() -> int:
    """Pid of a grandchild that the supervisor has adopted; 0 in the grandchild."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            try:
                grandchild = os.fork()
            except OSError as error:
                os.write(writing, msgspec.msgpack.encode(Answer(error=error.errno or errno.EAGAIN)))
                os._exit(1)
            if grandchild == 0:
                return 0
            os.write(writing, msgspec.msgpack.encode(Answer(grandchild)))
            os._exit(0)
        os.waitpid(child, 0)  # when it has returned, the grandchild has its new parent
        answer = msgspec.msgpack.decode(os.read(reading, _MESSAGE_BYTES), type=Answer)
    finally:
        os.close(reading)
        os.close(writing)
    if answer.error:
        raise OSError(answer.error, os.strerror(answer.error))
    return answer.pid


def _run(request: Request, descriptors: Sequence[int], supervisor: int) -> int:
    """Becomes a stage.

    Args:
        request: Which one.
        descriptors: Its output first; the others are kept open.
        supervisor: Its parent, once the process that forked it is gone.
    """
    setproctitle(f"tallycam {request.name} {request.incarnation}")
    output = descriptors[0]
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    while os.getppid() != supervisor:
        if os.getppid() == 1 or not Path(f"/proc/{supervisor}").exists():
            return 1  # it was killed meanwhile
        time.sleep(0.0005)
    return run_stage(Path(request.spec), request.name, request.incarnation, bare=request.bare)


@contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """A process started within inherits the mask: Ctrl-C cannot interrupt its imports."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _path_of_the_package() -> dict[str, str]:
    """Lets a stage find the package where this process found it in the folder that `-P` leaves out: a checkout."""
    folder = str(Path(pipeline.__file__).parents[1])
    if sys.path[0] not in ("", folder):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))}


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])))
