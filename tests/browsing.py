"""A real browser for tests: Chromium, if there is one, that asks for nothing by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("LLM_AS_RNN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")

MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: install it, or name it in LLM_AS_RNN_CHROMIUM"),
]
"""What marks a module whose tests need it."""


@contextmanager
def launched() -> Iterator[Browser]:
    """Give a browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with playwright.sync_playwright() as driver:
        flags = [f"--{flag}" for flag in (*QUIET, "disable-component-update", "disable-sync")]
        found = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


def comes_true(page: Any, condition: str) -> bool:
    """Wait in the page, for 300 frames at most.

    Playwright's `wait_for_function` evaluates a text at each look, which the page forbids from the second
    look on; this is evaluated once.
    """
    looks = "frames-- ? requestAnimationFrame(look) : done(false)"
    look = f"const look = () => {condition} ? done(true) : {looks}"
    return bool(page.evaluate(f"() => new Promise(done => {{ let frames = 300; {look}; look(); }})"))


def barriers(page: Page) -> list[str]:
    """List what axe finds in the way of people who cannot see, hear or point well: nothing, as it should be."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the package axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
