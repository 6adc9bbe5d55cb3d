"""What is installed here: this program, the extras that it can have, and what other packages bring to it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from llm_as_rnn._version import __version__
from llm_as_rnn.cli.privacy import KEYS, URLS
from llm_as_rnn.core.records import Record
from llm_as_rnn.engines.models import FOLDER_VARIABLE, listing
from llm_as_rnn.engines.secrecy import address

PACKAGE = "llm-as-rnn"
EVERYTHING = "all"
"""The extra that brings what all others for users bring; what is not in it is for developers."""

PLACES = (*URLS, FOLDER_VARIABLE, "NO_PROXY")
"""Variables that are shown, without a login; of those in `KEYS` only is told that they are set."""

_REQUIREMENT = re.compile(r"""([\w.-]+)(?:\[[^\]]*\])?([^;]*)(?:;(.*)\bextra == ['"]([^'"]+)['"])?""")


class Extra(Record, frozen=True):
    """An extra of this package.

    Attributes
    ----------
    name : str
        What stands in brackets behind the package's name.
    here : dict of str to str
        The packages that it brings and that are there, with their versions.
    missing : tuple of str
        Those that are not.
    get : str
        The command that installs them; empty where none is missing.
    """

    name: str
    here: dict[str, str]
    missing: tuple[str, ...]
    get: str


class Installed(Record, frozen=True):
    """What is installed here.

    Attributes
    ----------
    version, python, system : str
        Of this program, of Python, and of the machine.
    processors : int
        How many.
    packages : dict of str to str
        What it needs in any case, with the versions that are there.
    extras : tuple of Extra
        What it can have.
    models : dict of str to bool
        The registered models, and whether their files are here.
    environment : dict of str to str
        Variables that are heeded; of keys, only that they are set.
    """

    version: str
    python: str
    system: str
    processors: int
    packages: dict[str, str]
    extras: tuple[Extra, ...]
    models: dict[str, bool]
    environment: dict[str, str]


class _Needed(Record, frozen=True):
    package: str
    extra: str
    sometimes: bool
    """Whether it is for some systems alone."""


def installed() -> Installed:
    """Look what is installed; no package is imported for it, and nothing is asked of a network."""
    needed = list(_needed())
    here = {one.package: found for one in needed if (found := _version(one.package))}
    return Installed(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        processors=os.cpu_count() or 1,
        packages={one.package: here.get(one.package, "missing") for one in needed if not one.extra},
        extras=tuple(_extras(needed, here)),
        models={entry.name: path is not None for entry, path in listing()},
        environment=dict(_environment()),
    )


def _needed() -> Iterator[_Needed]:
    """Read what this package says that it needs; nothing where it runs without being installed."""
    try:
        lines = requires(PACKAGE) or []
    except PackageNotFoundError:
        return
    for line in lines:
        if found := _REQUIREMENT.match(line):
            marker = (found[3] or "").strip()
            yield _Needed(found[1], found[4] or "", sometimes=bool(marker))


def _extras(needed: list[_Needed], here: dict[str, str]) -> Iterator[Extra]:
    every = {one.package for one in needed if one.extra == EVERYTHING}
    for name in sorted({one.extra for one in needed} - {"", EVERYTHING}):
        brings = [one for one in needed if one.extra == name]
        if {one.package for one in brings} <= every:
            missing = tuple(one.package for one in brings if one.package not in here and not one.sometimes)
            there = {one.package: here[one.package] for one in brings if one.package in here}
            yield Extra(name, there, missing, f"pip install '{PACKAGE}[{name}]'" if missing else "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _environment() -> Iterator[tuple[str, str]]:
    for name in KEYS:
        if os.environ.get(name):
            yield name, "set"
    for name in PLACES:
        if said := os.environ.get(name):
            yield name, address(said).url if "://" in said or "@" in said else said
