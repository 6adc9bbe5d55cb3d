"""A real PostgreSQL of one's own: for tests, for benchmarks, and for those who kill it.

It lies in a folder of its own, is reached on a free port of the loopback, and ends with who started it.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ADVICE = (
    "install PostgreSQL (on Debian: apt-get install postgresql), or put its programs, initdb and postgres, on the PATH"
)
PATIENCE = 60.0
"""Seconds for which a server may start, mending included."""
AGAIN = 0.1
"""Seconds after which a start is tried again: one that was killed may have children that have not noticed yet."""
ACCOUNTS = ("postgres", "nobody")
"""Who runs the server where we are root: it refuses to be root's."""
USER = "service"


class NoPostgreSQLError(Exception):
    """There is no PostgreSQL on this machine; the message says how to get it."""


def programs() -> Path:
    """Find the folder with PostgreSQL's programs; the latest version where there are several.

    Raises
    ------
    NoPostgreSQLError
        If there is none.
    """
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders = sorted(debian, key=lambda folder: int("0" + folder.parent.name.split(".")[0]), reverse=True)
    if config := shutil.which("pg_config"):
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(told.stdout.strip()))
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres", "psql", "pg_dump")):
            return folder
    raise NoPostgreSQLError(ADVICE)


class Server:
    """A PostgreSQL server.

    Parameters
    ----------
    *options : str
        Further settings, each as ``name=value``.
    fsync : bool
        Whether it waits for the disk. Off is quicker, and nothing is lost as long as the machine itself goes on
        running, however often the server is killed.

    Raises
    ------
    NoPostgreSQLError
        If there is none on this machine.

    Attributes
    ----------
    port : int
        Of the loopback. It stays the same when the server is started again.
    """

    def __init__(self, *options: str, fsync: bool = False) -> None:
        self._programs = programs()
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._log = self._folder / "log"
        self._password = secrets.token_hex(16)
        self._options = [f"fsync={'on' if fsync else 'off'}", f"full_page_writes={'on' if fsync else 'off'}", *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        """Start it, and wait until it answers; it does so with its data as they are."""
        if not (self._folder / "data").exists():
            self._make()
        until = time.monotonic() + PATIENCE
        known = bool(self.port)
        while time.monotonic() < until:
            if not known:
                self.port = _free_port()
            if self._ready(self._launched(), until):
                return
            self._end(signal.SIGKILL)
            time.sleep(AGAIN)
        raise RuntimeError(f"PostgreSQL does not start: {self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it in an orderly way, and remove its data."""
        self._end(signal.SIGINT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill it as the system does where memory runs out: what was not written by then is lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same port, after it was killed or else in an orderly way."""
        self._end(signal.SIGINT)
        self.start()

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str) -> str:
        """Give a database's address as the service takes it."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Carry out a statement, and give what it says: rows as lines, columns parted by ``|``."""
        return self.program("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement, database=database)

    def program(self, name: str, *arguments: str, database: str, given: str | None = None) -> str:
        """Call one of PostgreSQL's own programs on a database, and give what it writes.

        Parameters
        ----------
        name : str
            Of the program: ``psql``, ``pg_dump``.
        *arguments : str
            For it.
        database : str
            Where.
        given : str, optional
            What it reads.
        """
        command = [str(self._programs / name), "-d", self.url(database), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name} says: {done.stderr.strip()}")
        return done.stdout

    def create(self, name: str, template: str = "template0") -> str:
        """Create a database, as a copy of another one, and give its address."""
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _make(self) -> None:
        """Make its folder: all on this machine may be strangers, so that even the loopback needs the password."""
        secret = self._folder / "password"
        secret.write_text(self._password)
        if self._account:
            for path in (self._folder, secret):
                shutil.chown(path, *self._account)
        asked = [str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", USER, "--pwfile", str(secret)]
        asked += ["--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd="/", **self._as_account())
        secret.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb says: {done.stderr.strip()}")

    def _launched(self) -> subprocess.Popen[bytes]:
        """Launch it as a process of ours, and beside it another one that stops it when we end."""
        listening = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}"]
        small = ["shared_buffers=64MB", "max_connections=200"]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data")]
        for option in (*listening, *small, *self._options):
            command += ["-c", option]
        quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "cwd": "/", "start_new_session": True}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **quiet, **self._as_account())
        # Its end of this pipe closes when we end, however that comes: then nobody else would stop the server.
        stopping = ["sh", "-c", f"read _; kill -INT {self._process.pid}"]
        self._watch = subprocess.Popen(stopping, stdin=subprocess.PIPE, start_new_session=True)
        return self._process

    def _ready(self, process: subprocess.Popen[bytes], until: float) -> bool:
        """Wait until it says of itself that it is ready; tell whether it did so before it ended."""
        state = self._folder / "data" / "postmaster.pid"
        while process.poll() is None and time.monotonic() < until:
            try:
                lines = state.read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.01)  # it has no other way to tell
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._watch is not None:
            self._watch.kill()
            self._watch.communicate()
        if process.poll() is None:
            process.send_signal(how)
        process.wait(PATIENCE)

    def _as_account(self) -> dict[str, Any]:
        """Say as whom its programs run."""
        if self._account is None:
            return {}
        user, group = self._account
        return {"user": user, "group": group, "extra_groups": []}


def _account() -> tuple[int, int] | None:
    """Choose who runs the server, where that must be another one."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: (entry.pw_uid, entry.pw_gid) for entry in pwd.getpwall()}
    return next(known[name] for name in ACCOUNTS if name in known)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
