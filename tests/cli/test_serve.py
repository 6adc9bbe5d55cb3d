"""``llm-as-rnn serve`` and the commands below it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.cli.commands import command
from tests.cli.test_kill import script

DAY = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'service.db'}"
    assert command("serve", "migrate", "--database", url).returncode == 0
    return url


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run a service in a process of its own; give it, where it listens, and what it said."""
    words = [sys.executable, "-m", "llm_as_rnn", "serve", "--port", "0", "--model", script(folder), *options]
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment) as it:
        try:
            assert it.stderr is not None
            said = next(line for line in it.stderr if "serving at" in line or "error" in line)
            yield it, said.split()[2].rstrip(",") if "serving at" in said else "", said
        finally:
            it.kill()
            it.wait()


def test_it_starts_at_once_on_an_embedded_database_without_keys_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with served(tmp_path) as (process, url, said):
        assert "there are no keys, so this machine's programs may do everything" in said
        with httpx2.Client(base_url=url, trust_env=False, timeout=60) as ask:
            assert ask.get("/health/ready").json()["status"] == "ok"
            assert ask.post("/v1/sessions", json={"task": "weather", "id": "s"}).status_code == 201
            made = ask.post("/v1/sessions/s/predictions", json={"id": "a", "x": DAY})
            assert made.json()["id"] == "a"
            told = ask.put("/v1/sessions/s/predictions/a/outcome", json={"y": {"sky": "sun", "high": 14.1}})
            assert told.status_code == 202
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert (tmp_path / "data" / "llm-as-rnn" / "service.db").is_file()
    with served(tmp_path) as (_, url, _), httpx2.Client(base_url=url, trust_env=False, timeout=60) as ask:
        assert ask.get("/v1/sessions/s").json()["steps"] == 1, "what was told is still there"


def test_with_keys_it_asks_for_one(tmp_path: Path, database: str) -> None:
    command("serve", "tenants", "create", "acme", "--database", database)
    key = command("serve", "keys", "create", "acme", "app", "--database", database).stdout.strip()
    with served(tmp_path, "--database", database) as (_, url, said):
        assert "no keys" not in said
        assert httpx2.get(f"{url}/v1/sessions", trust_env=False).status_code == 401
        shown = {"Authorization": f"Bearer {key}"}
        assert httpx2.get(f"{url}/v1/sessions", headers=shown, trust_env=False).json() == []


def test_where_others_could_reach_it_it_needs_keys_and_names_the_command(tmp_path: Path, database: str) -> None:
    with served(tmp_path, "--host", "0.0.0.0", "--database", database) as (process, _, said):  # noqa: S104
        assert process.wait(30) == 2
        assert "there is no key yet (llm-as-rnn serve tenants create TENANT, then llm-as-rnn serve keys create" in said


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    bare, newer = (f"sqlite:///{tmp_path / name}" for name in ("bare.db", "newer.db"))
    ended = command("serve", "keys", "list", "--database", bare)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"run llm-as-rnn serve migrate --database {bare}" in ended.stderr
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("CREATE TABLE llm_as_rnn_revision (version_num TEXT)")
        connection.execute("INSERT INTO llm_as_rnn_revision VALUES ('9999')")
    with served(tmp_path, "--database", newer) as (process, _, said):
        assert process.wait(30) == 2
        assert "a newer version of this program" in said


def test_what_holds_is_shown_with_who_chose_it(tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    file.write_text("longest_wait = 5.0\n")
    url = "postgresql://ann:pa55w0rd@db/learners"
    words = ("serve", "--show-config", "--config", str(file), "--port", "1234")
    ended = command(*words, LLM_AS_RNN_DATABASE=url)
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert "port = 1234  # --port" in lines
    assert f"longest_wait = 5.0  # {file}" in lines
    assert 'database = "postgresql://ann:***@db/learners"  # LLM_AS_RNN_DATABASE' in lines
    assert 'host = "127.0.0.1"  # default' in lines


def test_an_option_before_a_command_that_does_not_see_it_is_refused() -> None:
    ended = command("serve", "--port", "1", "migrate")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert (
        ended.stderr
        == "error: --port stands before migrate, which does not see it (write it at the end, if migrate has it)\n"
    )


def test_tenants_and_keys_are_made_listed_and_ended(database: str) -> None:
    def done(*words: str) -> str:
        ended = command("serve", *words, "--database", database)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    done("tenants", "create", "acme", "--requests", "100")
    done("tenants", "change", "acme", "--tokens", "5000")
    (tenant,) = map(json.loads, done("tenants", "list").splitlines())
    assert (tenant["name"], tenant["quotas"]) == ("acme", {"tokens": 5000})
    key = done("keys", "create", "acme", "app", "--scopes", "read, learn").strip()
    (listed,) = map(json.loads, done("keys", "list", "--tenant", "acme").splitlines())
    assert (listed["name"], listed["scopes"], listed["revoked"]) == ("app", ["read", "learn"], None)
    assert key not in json.dumps(listed)
    assert key.startswith(listed["hint"])
    done("keys", "revoke", listed["hint"])
    assert json.loads(done("keys", "list"))["revoked"] is not None
    asked = command("serve", "tenants", "delete", "acme", "--database", database, typed="n\n")
    assert asked.returncode != 0
    done("tenants", "delete", "acme", "--yes")
    assert done("tenants", "list") == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "create", "nobody", "app"), "there is no tenant 'nobody'"),
        (("keys", "create", "acme", "app", "--scopes", "all"), "scope"),
        (("keys", "revoke", "lar_aaaaaaaa"), "no key begins with"),
        (("tenants", "create", "acme", "--tokens", "-1"), "a quota is a number from 0 on"),
        (("retain", "--days", "-1"), "-1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(database: str, words: tuple[str, ...], said: str) -> None:
    ended = command("serve", *words, "--database", database)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_database_is_copied_and_rid_of_what_is_old(database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert command("serve", "backup", str(copy), "--database", database).returncode == 0
    assert copy.is_file()
    ended = command("serve", "retain", "--days", "30", "--database", database)
    assert ended.stdout == "0 steps and 0 versions of memories were deleted\n"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.startswith(("llm_as_rnn.service.migrating", "alembic"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "alembic", None)
    ended = command("serve", "migrate", "--database", f"sqlite:///{tmp_path / 'x.db'}")
    assert ended.returncode == 2
    assert "pip install 'llm-as-rnn[service]'" in ended.stderr
