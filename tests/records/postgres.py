"""A PostgreSQL server of a test's own, which can be killed and started again."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

USER, PASSWORD = "tally", "hush hush"


class PostgresServer:
    """On a free port of 127.0.0.1; users need a password.

    Args:
        pg_ctl: path of the program.
    """

    def __init__(self, pg_ctl: str) -> None:
        self._pg_ctl = pg_ctl
        self._folder = Path(
            tempfile.mkdtemp(prefix="tally-pg-", dir="/tmp")
        )  # a socket's path has 107 bytes at most
        self._become: list[str] = []
        if getpass.getuser() == "root":  # the server refuses to run as root
            shutil.chown(self._folder, "postgres")
            self._become = ["runuser", "-u", "postgres", "--"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._control("init", "-s", "-o", f"-A scram-sha-256 -U {USER} --pwfile={secret}")

    def url(self, password: str = PASSWORD) -> str:
        """The address of its database."""
        return f"postgresql://{USER}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Returns when it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off"
        self._control("-w", "-o", options, "-l", str(self._folder / "server.log"), "start")

    def kill(self) -> None:
        """As if the machine had lost its power: no process says good-bye."""
        pid = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
        for one in (pid, *map(int, children.stdout.split())):
            os.kill(one, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def remove(self) -> None:
        """Stops it and deletes all that it has."""
        subprocess.run(
            [*self._become, self._pg_ctl, "-D", str(self._folder / "data"), "-m", "immediate", "stop"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            check=False,
        )
        shutil.rmtree(self._folder, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            [*self._become, self._pg_ctl, "-D", str(self._folder / "data"), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            env={key: value for key, value in os.environ.items() if not key.startswith("PG")},
        )
