"""The files of a deployment name what the service has: its settings, commands and addresses."""

from __future__ import annotations

import re
from pathlib import Path

import click
import yaml

from llm_as_rnn.cli.main import cli
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.service.config import PREFIX, ServiceSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
KNOWN = {f"{PREFIX}{name.upper()}" for name in knobs(ServiceSettings)}


def commands() -> list[list[str]]:
    """List what is called with the image: by compose, and in its comments."""
    text = (DEPLOY / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    said = re.findall(r"run --rm migrate (serve .*)", text)
    return [services["migrate"]["command"], ["serve"], *(line.split() for line in said)]


def test_settings_are_those_of_the_service() -> None:
    text = (DEPLOY / "compose.yaml").read_text() + (DEPLOY / "Containerfile").read_text()
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", text))
    assert named
    assert named <= KNOWN


def test_commands_are_there() -> None:
    for words in commands():
        found: click.Command | None = cli
        for word in words:
            if isinstance(found, click.Group):
                found = found.get_command(click.Context(found), word)
                assert found is not None, words
        assert found is not cli


def test_services_reach_each_other_by_their_names() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    service = services["service"]["environment"]
    assert service["LLM_AS_RNN_DATABASE"].rpartition("@")[2].partition("/")[0] in services
    host, port = re.fullmatch(r"http://([^:/]+):(\d+)/v1", service["LLM_AS_RNN_BASE_URL"]).groups()  # type: ignore[union-attr]
    assert port in services[host]["command"]
    assert all(name in services for name in services["service"]["depends_on"])
