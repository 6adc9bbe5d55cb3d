"""Model files: which ones are known, where they lie, and how they get there.

A registered file has its publisher's SHA-256 and sources that are tried in order. The hash decides, not the carrier.
Which files are registered stands in `models.toml`.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from errno import ENOSPC
from pathlib import Path
from typing import Annotated, Any

import msgspec
from filelock import FileLock
from platformdirs import user_cache_path

from llm_as_rnn.core.errors import ModelError
from llm_as_rnn.core.files import make_folder, require_file, sync, write_atomically
from llm_as_rnn.core.records import Form, Record, Style
from llm_as_rnn.engines.sources import Progress, Source, SourceError, Wanted

FOLDER_VARIABLE = "LLM_AS_RNN_MODELS"


class ModelEntry(Record, frozen=True):
    """A registered model file.

    Attributes
    ----------
    name : str
        What it is called in ``llamacpp:NAME``.
    file : str
        Its file's name.
    sha256 : str
        Its file's hash, as its publisher lists it.
    bytes : int
        Its file's size.
    licence, family : str
        Whose terms hold, and where it comes from.
    sources : tuple of Source
        Where it can be had, tried in order.
    window : int
        The longest text that it was trained on, in tokens.
    form, style : str
        How it is best asked.
    budget : int
        A memory budget that suits it, in tokens.
    echo : int
        How often a case of the memory is best shown before a question like it (docs/results/memory.md).
    note : str
        What else a user should know.
    """

    name: str
    file: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    bytes: int
    licence: str
    family: str
    sources: Annotated[tuple[Source, ...], msgspec.Meta(min_length=1)]
    window: int
    form: Form = "json"
    style: Style = "chat"
    budget: int = 1024
    echo: int = 1
    note: str = ""


class _Registry(Record, frozen=True):
    """What the file of registered models holds; its entries are read one by one, so that an error can name its own."""

    model: tuple[dict[str, Any], ...]


def read_registry(path: Path) -> dict[str, ModelEntry]:
    """Read the registered models from their file.

    Parameters
    ----------
    path : Path
        A TOML file with a table ``[[model]]`` for each, which has the attributes of `ModelEntry`.

    Raises
    ------
    ModelError
        If it is no such file; the message names the entry.
    """
    found: dict[str, ModelEntry] = {}
    place = path.name
    try:
        for number, given in enumerate(msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Registry).model, 1):
            place = f"{path.name}, model {given.get('name', number)!r}"
            entry = msgspec.convert(given, ModelEntry)
            if found.setdefault(entry.name, entry) is not entry:
                raise ModelError(f"{place}: it is there twice", "rename one of them")
    except ValueError as error:  # what is no TOML and what does not fit are both of this kind
        raise ModelError(f"{place}: {error}", "correct the file") from error
    return found


REGISTRY = read_registry(Path(__file__).with_name("models.toml"))
"""The registered models, by name."""


def models_folder() -> Path:
    """Give the folder where model files lie: ``LLM_AS_RNN_MODELS``, else one in the user's cache."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else user_cache_path("llm-as-rnn") / "models"


def registered(name: str) -> ModelEntry:
    """Look a model up by its name.

    Raises
    ------
    ModelError
        If there is none of that name; the hint names those that are like it.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    near = get_close_matches(name, REGISTRY, cutoff=0.5) or list(REGISTRY)
    raise ModelError(f"there is no registered model {name!r}", f"there is {', '.join(near)}; or give a .gguf file")


def listing() -> list[tuple[ModelEntry, Path | None]]:
    """List all registered models, each with its file where it is there."""
    return [(entry, locate(name)) for name, entry in REGISTRY.items()]


def locate(name: str) -> Path | None:
    """Find a registered model's file, without any network; None if it is not there, or is not what it should be."""
    entry = registered(name)
    path = models_folder() / entry.file
    return path if path.is_file() and _is(path, entry) else None


def verify(path: Path, entry: ModelEntry) -> None:
    """Check a file against a registry entry, reading all of it.

    Raises
    ------
    ModelError
        If it cannot be read, or is another file.
    """
    with _files(path):
        size = path.stat().st_size
        if size != entry.bytes:
            raise ModelError(f"{path} has {size} of {entry.bytes} bytes", f"llm-as-rnn models pull {entry.name}")
        found = _hash(path)
    if found != entry.sha256:
        raise ModelError(
            f"{path} has the SHA-256 {found}, not {entry.sha256}", f"delete it; llm-as-rnn models pull {entry.name}"
        )


def digest(path: Path) -> str:
    """Give a file's SHA-256; it is remembered as long as the file's size and time of change stay the same."""
    path = path.resolve()
    stat = path.stat()
    now = _Hashed(str(path), stat.st_size, stat.st_mtime_ns)
    memo = models_folder() / ".hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    with suppress(OSError, msgspec.DecodeError):
        known = msgspec.json.decode(memo.read_bytes(), type=_Hashed)
        if msgspec.structs.replace(known, sha256="") == now:
            return known.sha256
    found = msgspec.structs.replace(now, sha256=_hash(path))
    with suppress(OSError):  # a folder that cannot be written only costs the time to read the file again
        make_folder(memo.parent)
        write_atomically(memo, msgspec.json.encode(found))
    return found.sha256


def pull(name: str, progress: Progress | None = None) -> Path:
    """Get a registered model's file; where it is there, nothing is asked of the network.

    Parameters
    ----------
    name : str
        A name in `REGISTRY`.
    progress : callable, optional
        Called now and then with the bytes that are there, and those that there will be (None if unknown).

    Returns
    -------
    Path
        The whole and verified file.

    Raises
    ------
    ModelError
        If the name is unknown, no source has the file, or it cannot be written.
    """
    if path := locate(name):
        return path
    entry, folder = registered(name), models_folder()
    with _files(folder):
        make_folder(folder)
        with FileLock(folder / f".{entry.file}.lock"):
            # Another process may have fetched it while this one waited.
            return locate(name) or _fetch(entry, folder, progress or (lambda done, total: None))


def _fetch(entry: ModelEntry, folder: Path, progress: Progress) -> Path:
    reasons = []
    for source in entry.sources:
        part = folder / f".{entry.file}.{type(source).__name__.lower()}.part"
        try:
            _fetch_from(source, entry, part, progress)
        except SourceError as error:
            reasons.append(f"{source}: {error}")
            continue
        path = folder / entry.file
        part.replace(path)
        sync(folder)
        for left in folder.glob(f".{entry.file}.*.part"):
            left.unlink(missing_ok=True)
        return path
    raise ModelError(
        f"{entry.name} could not be fetched. {'; '.join(reasons)}",
        f"check the network, or put {entry.file} into {folder}",
    )


def _fetch_from(source: Source, entry: ModelEntry, part: Path, progress: Progress) -> None:
    begun = part.exists()
    source.fetch(Wanted(entry.file, entry.sha256, entry.bytes), part, progress)
    if part.stat().st_size == entry.bytes and _hash(part) == entry.sha256:
        return
    part.unlink()
    if not begun:
        raise SourceError("the file there has another SHA-256")
    _fetch_from(source, entry, part, progress)  # what was begun belonged to another file


def _is(path: Path, entry: ModelEntry) -> bool:
    try:
        return path.stat().st_size == entry.bytes and digest(path) == entry.sha256
    except OSError:
        return False


def _hash(path: Path) -> str:
    require_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _files(where: Path) -> Iterator[None]:
    """Say in one line what is wrong with a file or folder."""
    try:
        yield
    except OSError as error:
        hint = "make room" if error.errno == ENOSPC else "check its permissions"
        raise ModelError(
            f"{where} cannot be used: {error.strerror or error}", f"{hint}, or set {FOLDER_VARIABLE} to another folder"
        ) from error


class _Hashed(Record, frozen=True):
    path: str
    size: int
    changed: int
    sha256: str = ""
