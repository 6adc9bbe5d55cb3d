"""What can be chosen for a service: who wins, what is refused, and what is not shown."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.service.config import Configuration, ServiceSettings, gather, shown

HIDDEN = "pa55w0rd"


def written(folder: Path, text: str) -> Path:
    file = folder / "service.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_flag_wins_over_the_environment_it_over_the_file_and_that_over_the_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\nhost = "::1"\nlog_requests = false\nbase_url = "http://c/v1"\n')
    environment = {"LLM_AS_RNN_PORT": "2", "LLM_AS_RNN_HOST": "localhost", "PORT": "9"}
    found = gather({"port": 3, "host": None, "base_url": ()}, environment, file)
    chosen = found.settings
    assert (chosen.port, chosen.host, chosen.log_requests, chosen.base_url) == (3, "localhost", False, ("http://c/v1",))
    assert chosen.request_seconds == ServiceSettings().request_seconds
    assert {name: found.sources[name] for name in ("port", "host", "log_requests", "request_seconds")} == {
        "port": "--port",
        "host": "LLM_AS_RNN_HOST",
        "log_requests": str(file),
        "request_seconds": "default",
    }
    assert list(found.sources) == list(knobs(ServiceSettings))


def test_the_file_is_named_by_an_option_or_the_environment_or_lies_in_its_place(tmp_path: Path) -> None:
    usual = written(tmp_path, "port = 1")
    (tmp_path / "other.toml").write_text("port = 2")
    named = {"LLM_AS_RNN_CONFIG": str(tmp_path / "other.toml")}
    assert gather({}, {}, None, usual).settings.port == 1
    assert gather({}, named, None, usual).settings.port == 2
    assert gather({}, named, usual).settings.port == 1
    assert gather({}, {}, None, tmp_path / "gone.toml").settings.port == ServiceSettings().port


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", r"there is no setting 'prot' \(did you mean 'port'\?\)"),
        ("[server]\nport = 1", "there is no setting 'server'"),
        ('port = "one"', r"port in .*: port must be a whole number, not 'one'"),
        ("port = 70000", "there is no port 70000"),
        ("port = -1", "port must be at least 0"),
        ("request_seconds = 0", "is no number of seconds above 0"),
        ("request_seconds = inf", "is no number of seconds above 0"),
        ("log_requests = 1", "must be true or false"),
        ("port 1", "is no TOML"),
        (f"database = ['{HIDDEN}']", "it is no text"),
        (f"base_url = [7, '{HIDDEN}']", "it is no text"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UsageError, match=said) as refused:
        gather({}, {}, file)
    assert file.name in str(refused.value)
    assert HIDDEN not in str(refused.value)


def test_a_file_that_was_named_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        gather({}, {}, tmp_path / "gone.toml")


@pytest.mark.parametrize("value", ["x", "1.5", ""])
def test_a_variable_that_does_not_fit_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(UsageError, match="LLM_AS_RNN_PORT"):
        gather({}, {"LLM_AS_RNN_PORT": value})


@pytest.mark.parametrize(("value", "said"), [("on", True), ("TRUE", True), ("0", False), ("off", False)])
def test_a_variable_says_on_or_off_in_a_few_ways(value: str, said: bool) -> None:
    assert gather({}, {"LLM_AS_RNN_LOG_REQUESTS": value}).settings.log_requests is said


def secretive() -> Configuration:
    database = f"postgresql://ann:{HIDDEN}@db/learners?sslpassword={HIDDEN}"
    urls = (f"http://{HIDDEN}@a/v1", f"http://ann:{HIDDEN}@b/v1", f"http://c/v1?key={HIDDEN}")
    return gather({"database": database, "base_url": urls}, {})


def test_what_is_shown_has_no_secret_in_it() -> None:
    assert HIDDEN not in shown(secretive())
    assert 'database = "postgresql://ann:***@db/learners?***"  # --database' in shown(secretive()).splitlines()


def test_what_is_shown_is_a_file_that_could_be_read_again(tmp_path: Path) -> None:
    settings = {
        "port": 1,
        "host": 'a "quoted"\\ name',
        "base_url": ("http://a/v1", "http://b/v1"),
        "log_requests": False,
    }
    found = gather(settings, {})
    again = gather({}, {}, written(tmp_path, shown(found)))
    assert again.settings == found.settings
    assert set(tomllib.loads(shown(found))) < set(found.sources)


def test_every_setting_is_shown_with_who_chose_it() -> None:
    lines = shown(gather({"port": 1}, {})).splitlines()
    assert len(lines) == len(knobs(ServiceSettings))
    assert all("  # " in line for line in lines)
