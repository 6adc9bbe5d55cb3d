"""What a server means that gives no answer: it cannot now, it refuses this request, or it never will."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Completion, Message, Request
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, RequestRefusedError
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.refusals import failure, read_refusal
from tests.fake_server import FakeServer, Fault, Json

REQUEST = Request("predict", (Message("user", "sun ->"),))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "code", "detail", "x"]), inner)
    ),
)


def ask(*faults: Fault, **options: Any) -> Completion:
    async def run() -> Completion:
        engine = OpenAICompatibleEngine("fake", base_url=server.url, **{"timeout": 5.0, "max_retries": 0, **options})
        await engine.open()
        try:
            return await engine.complete(REQUEST)
        finally:
            await engine.close()

    with FakeServer("openai", faults=faults) as server:
        return asyncio.run(run())


def says(status: int, **error: Any) -> Fault:
    return Fault(status=status, body={"error": error}, times=99)


class TestKinds:
    """Every refusal is one of a few kinds, with status and body taken together."""

    @pytest.mark.parametrize("status", [425, 429, 502, 503, 504, 520, 529])
    def test_it_cannot_now(self, status: int) -> None:
        with pytest.raises(EngineBusyError, match=f"answered {status}: later"):
            ask(says(status, message="later"))

    @pytest.mark.parametrize("status", [400, 413, 415, 422])
    def test_it_refuses_this_request(self, status: int) -> None:
        with pytest.raises(RequestRefusedError, match=f"answered {status}: no"):
            ask(says(status, message="no"))

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (says(401, message="no"), "refuses access"),
            (says(403, message="no"), "refuses access"),
            (says(404, message="no"), "does not serve 'fake'"),
            (says(405, message="no"), "does not serve 'fake'"),
            (says(402, message="pay"), "gives no more: pay"),
            (says(429, message="pay", code="insufficient_quota"), "gives no more: pay"),
        ],
    )
    def test_it_never_will(self, fault: Fault, said: str) -> None:
        with pytest.raises(EngineUnavailableError, match=said) as caught:
            ask(fault)
        assert not isinstance(caught.value, EngineBusyError)

    def test_one_call_failed(self) -> None:
        with pytest.raises(EngineError, match="500: oops") as caught:
            ask(says(500, message="oops"))
        assert type(caught.value) is EngineError

    @pytest.mark.parametrize("status", [500, 503])
    def test_a_model_that_is_loading(self, status: int) -> None:
        with pytest.raises(EngineBusyError, match="Loading model"):
            ask(says(status, message="Loading model", code=503))

    def test_the_time_it_asks_for_is_handed_on(self) -> None:
        fault = Fault(status=429, headers={"retry-after": "77"}, times=99)
        with pytest.raises(EngineBusyError) as caught:
            ask(fault, max_retries=3)
        assert caught.value.retry_after == 77

    def test_a_prompt_that_is_moderated_is_a_declined_answer(self) -> None:
        completion = ask(says(403, message="Your input was flagged by moderation"))
        assert (completion.text, completion.finish_reason) == ("", "content_filter")
        assert completion.error == "Your input was flagged by moderation"

    def test_what_a_filter_says_is_kept(self) -> None:
        completion = ask(says(400, message="Not this one", code="content_filter"))
        assert (completion.finish_reason, completion.error) == ("content_filter", "Not this one")


class TestErrorsWithSuccess:
    """A reply of status 200 with an error in it is what it says it is."""

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"message": "Provider returned error", "code": 502}, EngineBusyError),
            ({"message": "x", "code": "429"}, EngineBusyError),
            ({"message": "x", "status": 503}, EngineBusyError),
            ({"message": "Rate limit reached", "type": "rate_limit_error"}, EngineBusyError),
            ({"message": "x", "type": "overloaded_error"}, EngineBusyError),
            ({"message": "Loading model"}, EngineBusyError),
            ({"message": "x", "code": 400}, RequestRefusedError),
            ({"message": "x", "type": "invalid_request_error"}, RequestRefusedError),
            ({"message": "x", "code": 401}, EngineUnavailableError),
            ({"message": "x", "type": "authentication_error"}, EngineUnavailableError),
            ("out of credit", EngineUnavailableError),
            ({"message": "something odd"}, EngineError),
            ("something odd", EngineError),
            ({"odd": 1}, EngineError),
        ],
    )
    @pytest.mark.parametrize("choices", [None, []])
    def test_kinds(self, error: Any, kind: type[EngineError], choices: Any) -> None:
        body: Json = {"error": error} if choices is None else {"error": error, "choices": choices}
        with pytest.raises(EngineError) as caught:
            ask(Fault(status=200, body=body, times=99))
        assert type(caught.value) is kind

    @pytest.mark.parametrize(
        "error", [{"message": "Upstream failed", "code": 502}, {"message": "overloaded"}, "try again later"]
    )
    @pytest.mark.parametrize("inside", [False, True])
    def test_beside_a_part_of_an_answer(self, error: Any, inside: bool) -> None:
        choice: Json = {"message": {"content": "partial"}, "finish_reason": None}
        body: Json = {"choices": [{**choice, "error": error}]} if inside else {"choices": [choice], "error": error}
        with pytest.raises(EngineBusyError):
            ask(Fault(status=200, body=body, times=99))

    @pytest.mark.parametrize("error", [None, {}, "", False, {"message": "", "code": 0}])
    def test_an_error_that_says_nothing_beside_an_answer_is_none(self, error: Any) -> None:
        body: Json = {"choices": [{"message": {"content": "sun"}, "error": error}], "error": error}
        assert ask(Fault(status=200, body=body)).text == "sun"

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            ({"detail": "overloaded, try again"}, EngineBusyError),
            ({"message": "Too many requests"}, EngineBusyError),
            ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, EngineBusyError),
            ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, EngineUnavailableError),
            ({"message": "odd"}, EngineError),
        ],
    )
    def test_words_without_an_answer(self, body: Json, kind: type[EngineError]) -> None:
        with pytest.raises(EngineError) as caught:
            ask(Fault(status=200, body=body, times=99))
        assert type(caught.value) is kind

    def test_words_beside_an_answer_spoil_nothing(self) -> None:
        more: Json = {"base_resp": {"status_code": 0, "status_msg": "success"}, "message": "busy"}
        assert ask(Fault(status=200, body={"choices": [{"message": {"content": "sun"}}], **more})).text == "sun"

    @pytest.mark.parametrize("page", ["<html>Maintenance</html>", '{"choices": [{"mess', "", "busy"])
    def test_a_page_instead_of_an_answer(self, page: str) -> None:
        with pytest.raises(EngineError, match=f"sent no answer, but {page[:6] or 'nothing'}") as caught:
            ask(Fault(status=200, body=page, times=99))
        assert type(caught.value) is EngineError
        assert ask(Fault(status=200, body=page), max_retries=1).text == "fine"

    def test_one_that_passes_is_survived(self) -> None:
        body: Json = {"error": {"message": "busy", "code": 503}}
        assert ask(Fault(status=200, body=body), max_retries=1).text == "fine"

    def test_an_answer_that_speaks_of_errors_is_an_answer(self) -> None:
        body: Json = {"choices": [{"message": {"content": 'the "error" is 3'}}], "error": None}
        assert ask(Fault(status=200, body=body)).text == 'the "error" is 3'


class TestUnusableAnswers:
    """An answer that the server threw away, because it is not of the form asked for, is one that can be repaired."""

    @pytest.mark.parametrize(("wrote", "text"), [('{"sky": "sun', '{"sky": "sun'), ("", ""), (None, "")])
    @pytest.mark.parametrize("status", [400, 200])
    def test_json_that_does_not_fit(self, status: int, wrote: Any, text: str) -> None:
        error = {"message": "Failed to generate JSON", "code": "json_validate_failed", "failed_generation": wrote}
        completion = ask(says(status, **error))
        assert (completion.text, completion.finish_reason) == (text, "stop")
        assert completion.error == ("" if text else "Failed to generate JSON")


@given(st.sampled_from([200, 201, 400, 404, 429, 500, 503, 599]), JSON)
def test_any_body_is_read_to_one_line(status: int, body: Any) -> None:
    refusal = read_refusal(status, msgspec.json.encode(body), str)
    if refusal is not None:
        assert "\n" not in str(failure(refusal, "http://host/v1", "m"))


@given(st.sampled_from([200, 400, 500]), st.binary())
def test_any_bytes_are_read_to_one_line(status: int, body: bytes) -> None:
    refusal = read_refusal(status, body, str)
    if refusal is not None:
        assert "\n" not in str(failure(refusal, "http://host/v1", "m"))


def test_long_lists_of_complaints_are_not_looked_through() -> None:
    complaint = {"loc": ["body"] * 1000, "msg": "no"}
    refusal = read_refusal(422, msgspec.json.encode({"detail": [complaint] * 1000}), str)
    assert refusal is not None
    assert len(refusal.blamed) == 500
    assert refusal.said.count("no") == 50


@pytest.mark.parametrize("word", [" ", "loading ", "exceed", "no ", "model ", "maximum ", "a1"])
def test_long_messages_take_no_time_to_speak_of(word: str) -> None:
    refusal = read_refusal(400, word.encode() * 80_000, str)
    assert refusal is not None
    failure(refusal, "http://host/v1", "m")
    assert refusal.key is not None
