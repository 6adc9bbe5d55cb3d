"""List what `llm-as-rnn[all]` brings here, with licences: build/licences.md for people, build/sbom.json for programs.

The packages are those that are installed, found by following what each says that it needs. The second file is a
CycloneDX 1.6 bill of materials. Neither holds a time, so that the same packages make the same files.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
PACKAGE, EXTRA = "llm-as-rnn", "all"
UNSAID = "not said"
"""The licence of a package that does not name one in a form that programs can read."""
TEXTS = {"56959050891f7b737ac4e803051170c7197f02df73d80bd9a78d968e305bf558": "MIT"}
"""Licences by the SHA-256 of their words, in small letters, from where the permission begins to the very end."""


def needed(name: str = PACKAGE, extra: str = EXTRA) -> dict[str, Distribution]:
    """Follow what a package with an extra needs, by canonical names; what is not for this machine is left out.

    Raises
    ------
    SystemExit
        If something is not installed.
    """
    found: dict[str, Distribution] = {}
    todo, done = [(name, extra)], set()
    while todo:
        package, chosen = todo.pop()
        if (package, chosen) in done:
            continue
        done.add((package, chosen))
        try:
            there = distribution(package)
        except PackageNotFoundError:
            raise SystemExit(f"{package} is not installed: make install") from None
        found[canonicalize_name(package)] = there
        for line in there.requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": chosen}):
                todo += [(canonicalize_name(wanted.name), one) for one in (*wanted.extras, "")]
    return dict(sorted(found.items()))


def licence(package: Distribution) -> str:
    """Give a package's licence as it names it: an expression, else classifiers, a short text, or its file's words."""
    if expression := _said(package, "License-Expression"):
        return expression
    classifiers = package.metadata.get_all("Classifier") or ()
    classified = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    if named := [line for line in classified if line != "OSI Approved"]:
        return "; ".join(named)
    text = " ".join(_said(package, "License").split())
    if 0 < len(text) < 60:  # noqa: PLR2004 - a longer one is the licence itself
        return text
    return next((f"{name} (by its file)" for name in map(named_by_text, _texts(package)) if name), UNSAID)


def named_by_text(text: str) -> str:
    """Name the licence that a text is, word by word but for whose it is; nothing if it is none that we know."""
    words = " ".join(text.split()).lower()
    start = words.find("permission is hereby granted")
    return TEXTS.get(hashlib.sha256(words[start:].encode()).hexdigest(), "") if start >= 0 else ""


def _texts(package: Distribution) -> Iterator[str]:
    for name in package.metadata.get_all("License-File") or ():
        for place in (f"licenses/{name}", name):
            if text := package.read_text(place):
                yield text


def _said(package: Distribution, name: str) -> str:
    return str(package.metadata[name]) if name in package.metadata else ""


def table(packages: dict[str, Distribution]) -> str:
    """Write the list for people."""
    rows = (f"| {name} | {it.version} | {licence(it)} |" for name, it in packages.items())
    title = f"# What {PACKAGE}[{EXTRA}] brings"
    return "\n".join([title, "", "| package | version | licence |", "|---|---|---|", *rows, ""])


def bill(packages: dict[str, Distribution]) -> dict[str, Any]:
    """Write the bill of materials."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component(PACKAGE, packages[PACKAGE], "application")},
        "components": [_component(name, it, "library") for name, it in packages.items() if name != PACKAGE],
        "dependencies": [
            {"ref": _purl(name, it), "dependsOn": sorted(_purl(*one) for one in _uses(it, name, packages))}
            for name, it in packages.items()
        ],
    }


def _component(name: str, package: Distribution, kind: str) -> dict[str, Any]:
    told = licence(package)
    said = _said(package, "License-Expression")
    licences = [{"expression": said}] if said else [{"license": {"name": told}}]
    purl = _purl(name, package)
    return {"type": kind, "bom-ref": purl, "name": name, "version": package.version, "purl": purl, "licenses": licences}


def _purl(name: str, package: Distribution) -> str:
    return f"pkg:pypi/{name}@{package.version}"


def _uses(package: Distribution, name: str, packages: dict[str, Distribution]) -> Iterator[tuple[str, Distribution]]:
    extra = EXTRA if name == PACKAGE else ""
    seen = set()
    for wanted in map(Requirement, package.requires or ()):
        other = canonicalize_name(wanted.name)
        holds = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
        if holds and other in packages and other not in seen:
            seen.add(other)
            yield other, packages[other]


def main() -> None:
    """Write both files."""
    packages = needed()
    BUILD.mkdir(exist_ok=True)
    (BUILD / "licences.md").write_text(table(packages), encoding="utf-8")
    (BUILD / "sbom.json").write_text(json.dumps(bill(packages), indent=1) + "\n", encoding="utf-8")
    unsaid = [name for name, it in packages.items() if licence(it) == UNSAID]
    sys.stdout.write(f"{len(packages)} packages: {BUILD / 'licences.md'}, {BUILD / 'sbom.json'}\n")
    if unsaid:
        sys.stdout.write(f"to be looked up by hand, as they do not say: {', '.join(unsaid)}\n")


if __name__ == "__main__":
    main()
