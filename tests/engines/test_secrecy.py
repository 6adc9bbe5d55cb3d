"""Keys and passwords: sent, and shown nowhere."""

from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError
from llm_as_rnn.engines.cache import CachedEngine
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.engines.secrecy import HIDDEN, Redactor, address, credentials
from llm_as_rnn.engines.sources import HubFile, SourceError, Wanted
from llm_as_rnn.engines.wire import CLIENTS_LOG
from tests.fake_server import FakeServer, Fault, refuse

KEY = "sk-proj-4Zk1Qw9XbT7mVn2LrY8s"
REQUEST = Request("predict", (Message("user", "sun ->"),))


class TestRedactor:
    """What is hidden in a text."""

    @pytest.mark.parametrize(
        "said",
        [
            f"Incorrect API key provided: {KEY}.",
            f"Bearer {KEY}",
            f"key {KEY[:12]} is not known",
            f"no key ends in {KEY[-10:]}",
            f"key {KEY[:7]}****{KEY[-4:]} is wrong",
            f"key {KEY[:5]}...{KEY[-4:]} is wrong",
            f"key {KEY[:5]}\N{HORIZONTAL ELLIPSIS} is wrong",
            base64.b64encode(KEY.encode()).decode(),
        ],
    )
    def test_a_key_whole_in_part_and_masked(self, said: str) -> None:
        hidden = Redactor([KEY])(said)
        assert HIDDEN in hidden
        assert not any(KEY[place : place + 5] in hidden for place in range(len(KEY) - 4))

    @given(st.text(), st.text(), st.integers(0, len(KEY) - 8), st.integers(8, len(KEY)))
    def test_nothing_else_is_lost(self, before: str, after: str, start: int, length: int) -> None:
        hidden = Redactor([KEY])(f"{before} {KEY[start : start + length]} {after}")
        assert KEY[start : start + 8] not in hidden

    @given(st.text(alphabet="ab.* "))
    def test_texts_without_a_secret_stay_as_they_are(self, text: str) -> None:
        assert Redactor([KEY, ""])(text) == text
        assert Redactor([])(text) == text

    def test_a_short_password_is_hidden_where_it_stands_alone(self) -> None:
        assert (
            Redactor(["rain"])("rain is no password, though it rained") == f"{HIDDEN} is no password, though it rained"
        )

    def test_what_was_unquoted_or_escaped_is_hidden_too(self) -> None:
        sig = "ab%2Fcd%2Befgh%2Fijk%3D"
        for said in (sig, "ab/cd+efgh/ijk=", "ab\\/cd+efgh\\/ijk="):
            assert Redactor([sig])(f"bad signature '{said}'.") == f"bad signature '{HIDDEN}'."

    @pytest.mark.parametrize("key", ["none", "EMPTY", "ollama", "no-key", "sk-no-key-required", "lm-studio", "dummy"])
    def test_what_stands_for_no_key_blanks_no_words(self, key: str) -> None:
        said = f"try ollama pull; Field required; none is empty; test {key}"
        assert Redactor([key])(said) == Redactor([key]).answer(said) == said

    @pytest.mark.parametrize("key", ["my-keys-are-required-here", "Password-Protected", "Xx9required7"])
    def test_words_in_a_secret_blank_no_words(self, key: str) -> None:
        assert Redactor([key])("Field required: protected, Password") == "Field required: protected, Password"
        assert Redactor([key])(f"no {key}!") == f"no {HIDDEN}!"

    def test_a_models_own_words_stay(self) -> None:
        hide = Redactor(["rain", "protected", KEY])
        assert hide.answer("rain, protected sk-... and 12...") == "rain, protected sk-... and 12..."
        assert hide.answer(f"{KEY} {KEY[:6]}...{KEY[-4:]}") == f"{HIDDEN} {HIDDEN}"
        assert Redactor(["s3cretpw99"]).answer("of s3cretpw99") == f"of {HIDDEN}"

    def test_a_secret_that_no_text_can_hold_is_one_all_the_same(self) -> None:
        hide = Redactor(["pass\udcffword-1234567"])
        assert hide("of pass\udcffword-1234567") == f"of {HIDDEN}"
        assert hide.body(b"{}") == b"{}"

    def test_long_texts_take_no_time_to_speak_of(self) -> None:
        Redactor([KEY])("sk-..." * 20_000 + KEY[:6] * 20_000)


class TestAddress:
    """What is shown of an address."""

    @pytest.mark.parametrize(
        ("given_", "url", "login"),
        [
            ("http://host:8000/v1/", "http://host:8000/v1", None),
            ("http://ann:pass@host/v1", "http://host/v1", ("ann", "pass")),
            ("http://ann:p%40ss@host/v1#x", "http://host/v1", ("ann", "p@ss")),
            ("http://ann:p@ss@host/v1", "http://host/v1", ("ann", "p@ss")),
            ("http://ann:pa/ss@host/v1", "http://host/v1", ("ann", "pa/ss")),
            ("http://token@host/v1", "http://host/v1", ("token", "")),
            ("ann:pass@host/v1", "host/v1", ("ann", "pass")),
            ("http://ann:pa55w0rd#tail@host:9/v1", "http://host:9/v1", ("ann", "pa55w0rd#tail")),
            ("http://ann:pa55?w0rd@host:9/v1?a=b#c", "http://host:9/v1", ("ann", "pa55?w0rd")),
            ("http://ann:pa://ss@host/v1", "http://host/v1", ("ann", "pa://ss")),
            ("ann:pa://ss@host/v1", "host/v1", ("ann", "pa://ss")),
            ("http://[::1]:80/v1", "http://[::1]:80/v1", None),
            ("http://host/v1?key=secret-1", "http://host/v1", None),
        ],
    )
    def test_parts(self, given_: str, url: str, login: tuple[str, str] | None) -> None:
        assert address(given_)[:2] == (url, login)

    @pytest.mark.parametrize(
        "url",
        [
            "http://ann:1234/w0rd@host",
            "http://ann:1234#w0rd@host",
            "http://ann:1234?w0rd@host/v1",
            "http://ann:p@1234/w0rd@host",
            "http://w0rd/1234@host/v1",
            "http://host:80/v1/w0rd@1234",
            "http://[::1]/1234w0rd@host",
            "http://host:/w0rd1234@host",
            "ann:w0rd/1234@one@host/v1",
        ],
    )
    def test_one_that_can_be_read_in_two_ways_is_asked_nowhere(self, url: str) -> None:
        assert (address(url).host, "w0rd" in address(url).url) == ("", False)
        with pytest.raises(EngineUnavailableError, match=r"\*\*\*@.* is no address") as caught:
            asyncio.run(OpenAICompatibleEngine("m", base_url=url).open())
        assert "w0rd" not in str(caught.value)
        assert "@ in it as %40" in str(caught.value)

    def test_a_hub_that_can_be_read_in_two_ways_is_asked_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "http://ann:1234/w0rd@127.0.0.1:9")
        with pytest.raises(SourceError, match="HF_ENDPOINT") as caught:
            HubFile("a/b").fetch(Wanted("c", "0" * 64, 1), Path("c"), lambda done, size: None)
        assert "w0rd" not in str(caught.value)

    def test_values_of_a_query(self) -> None:
        query = "?key=short77&tenant=acme&api_key=k&sig=ab%2Fcd&alonesecret&version=2024-06-01"
        hidden = credentials(address(f"http://host/v1{query}"))
        assert hidden == ["short77", "k", "ab%2Fcd", "alonesecret", "2024-06-01"]

    @given(st.text(), st.text(min_size=9))
    def test_anything_is_taken_apart(self, text: str, password: str) -> None:
        place = address(f"http://ann:{password}@{text}")
        assert isinstance(place.host, str)
        Redactor(credentials(place))(text)


class TestEngine:
    """What a server, or an address, brings into messages, records and files."""

    def failed(self, server: FakeServer, fault: Fault, key: str = KEY) -> EngineError:
        async def run() -> None:
            server.faults.append(fault)
            engine = OpenAICompatibleEngine("fake", base_url=server.url, api_key=key, max_retries=0)
            await engine.open()
            try:
                await engine.complete(REQUEST)
            finally:
                await engine.close()

        with server, pytest.raises(EngineError) as caught:
            asyncio.run(run())
        return caught.value

    @pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
    @pytest.mark.parametrize("path", ["completions", "models"])
    def test_a_server_that_echoes_the_key(self, status: int, path: str) -> None:
        fault = refuse(f"Incorrect API key provided: {KEY}, or {KEY[:14]}****", status, 99)
        fault.path = path
        # A listing decides nothing: there the answer itself has to fail.
        server = FakeServer("openai", answer={"echo": KEY} if path == "models" else "fine")
        error = self.failed(server, fault)
        assert "sk-" not in f"{error} {error.hint} {error.__cause__}"
        assert HIDDEN in str(error)

    def test_an_answer_that_echoes_the_key(self) -> None:
        async def run() -> str:
            engine = OpenAICompatibleEngine("fake", base_url=server.url, api_key=KEY)
            await engine.open()
            try:
                return (await engine.complete(REQUEST)).text
            finally:
                await engine.close()

        with FakeServer("openai", answer=f"the key is {KEY}") as server:
            assert asyncio.run(run()) == f"the key is {HIDDEN}"

    @pytest.mark.parametrize(
        ("query", "login", "key", "echo"),
        [
            ("", "", "mykey-12345", "mykey-12345"),
            ("", "ann:s3cretpw99@", "", "s3cretpw99"),
            ("", "", "sk-abcde1234fgh5678", "sk-abcde...5678"),
            ("?key=short77", "", "", "short77"),
            ("?sig=ab%2Fcd%2Befgh%2Fijk%3D", "", "", "ab/cd+efgh/ijk="),
        ],
    )
    @pytest.mark.parametrize("status", [200, 400])
    @pytest.mark.parametrize("form", ["message", "error"])
    def test_no_body_brings_a_secret_into_a_message(
        self, query: str, login: str, key: str, echo: str, status: int, form: str
    ) -> None:
        fault = Fault(status=status, body={form: f"key {echo} has no plan"}, times=99)
        with FakeServer("openai", faults=[fault]) as server, pytest.raises(EngineError) as caught:
            self.asked(server.url.replace("//", f"//{login}") + query, key)
        assert f"key {HIDDEN} has no plan" in str(caught.value)
        assert echo not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"

    def asked(self, url: str, key: str) -> tuple[str, EngineInfo]:
        async def run() -> tuple[str, EngineInfo]:
            engine = OpenAICompatibleEngine("fake", base_url=url, api_key=key, max_retries=0)
            await engine.open()
            try:
                return (await engine.complete(REQUEST)).text, engine.info
            finally:
                await engine.close()

        return asyncio.run(run())

    @pytest.mark.parametrize("echo", ["mykey-12345", "mykey...2345"])
    def test_an_answer_that_echoes_a_short_key(self, echo: str) -> None:
        with FakeServer("openai", answer=f"the key {echo} has no plan") as server:
            assert self.asked(server.url, "mykey-12345")[0] == f"the key {HIDDEN} has no plan"

    def test_a_listing_that_echoes_a_short_key(self) -> None:
        with FakeServer("openai", models=["for-mykey-12345", "other"]) as server:
            _, info = self.asked(server.url, "mykey-12345")
            server.faults.append(refuse("The model does not exist", 404))
            with pytest.raises(EngineError, match="does not exist") as caught:
                self.asked(server.url, "mykey-12345")
        assert "does not list 'fake'" in str(info.remarks)
        assert "mykey" not in f"{info} {caught.value} {caught.value.hint}"

    def test_a_login_is_sent_and_shown_nowhere(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "llm_as_rnn")

        async def run(url: str) -> str:
            engine = CachedEngine("openai:m", tmp_path, "record", OpenAICompatibleEngine("fake", base_url=url))
            await engine.open()
            try:
                await engine.complete(REQUEST)
                server.faults.append(refuse("Basic YW5uOnNlY3JldC1wdw== for ann:secret-pw", 401))
                with pytest.raises(EngineUnavailableError) as caught:
                    await engine.complete(Request("update", REQUEST.messages))
            finally:
                await engine.close()
            return f"{caught.value} {engine.info}"

        with FakeServer("openai", models=["other"]) as server:
            said = asyncio.run(run(server.url.replace("//", "//ann:secret-pw@")))
            sent = {seen.headers["authorization"] for seen in server.requests}
        assert sent == {"Basic " + base64.b64encode(b"ann:secret-pw").decode()}
        written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
        for text in (said, written, caplog.text):
            assert "secret-pw" not in text
            assert "YW5u" not in text
        assert "does not list" in said

    def test_a_key_in_a_query_is_in_no_log_of_the_client(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, CLIENTS_LOG)  # the command line makes it quiet

        async def run(url: str) -> None:
            engine = OpenAICompatibleEngine("fake", base_url=url)
            await engine.open()
            await engine.complete(REQUEST)
            await engine.close()

        with FakeServer("openai") as server:
            asyncio.run(run(f"{server.url}?api-key={KEY}&v=2"))
        assert "chat/completions?api-key=***&v=2" in caplog.text
        assert KEY not in caplog.text
        assert not logging.getLogger(CLIENTS_LOG).filters

    @pytest.mark.parametrize("url", ["ann:secret-pw@host/v1", "ftp://ann:secret-pw@host", "http://ann:secret-pw@/v1"])
    def test_an_address_that_is_none(self, url: str) -> None:
        with pytest.raises(EngineUnavailableError, match="is no address") as caught:
            asyncio.run(OpenAICompatibleEngine("m", base_url=url).open())
        assert "secret" not in str(caught.value)

    def test_a_replay_names_the_endpoint_without_its_login(self, tmp_path: Path) -> None:
        engine = resolve(
            "openai:m", base_url="http://ann:secret-pw@127.0.0.1:1/v1", cache_mode="replay", cache_folder=tmp_path
        )
        with pytest.raises(EngineUnavailableError, match=r"of openai:m at http://127\.0\.0\.1:1/v1"):
            asyncio.run(engine.open())
