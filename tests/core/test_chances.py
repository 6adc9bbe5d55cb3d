"""Chances of options, read off the chances of tokens: whatever the tokens are, and however options share them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.calls import Place
from llm_as_rnn.core.chances import LEAST, MOST_KEPT, Token, Untold, full, likeliest, read_chances, shared_out, untold
from llm_as_rnn.core.fields import Label, Number, Ranked, Text

SKIES = ("rain", "sun", "snow", "fog")
SKY = Label("sky", options=SKIES)
FIRST = Place("sky", r"^\s*", SKIES)


def said(*tokens: tuple[str, dict[str, float]]) -> list[Token]:
    """Write tokens with what else might have stood there; each one's own chance among them."""
    return [
        Token(text.encode(), others.get(text, 0.0), {other.encode(): chance for other, chance in others.items()})
        for text, others in tokens
    ]


def chances(place: Place, *tokens: tuple[str, dict[str, float]]) -> dict[str, float]:
    return read_chances([place], said(*tokens)).get(place.name, {})


def test_distinct_first_tokens_tell_all() -> None:
    found = chances(FIRST, (" rain", {" rain": 0.4, " sun": 0.2, " snow": 0.1, " fog": 0.1, " the": 0.2}))
    assert found == pytest.approx({"rain": 0.5, "sun": 0.25, "snow": 0.125, "fog": 0.125})


def test_with_and_without_a_blank_is_the_same_option() -> None:
    found = chances(FIRST, ("rain", {"rain": 0.2, " rain": 0.2, " sun": 0.1, "sun": 0.1, "fog": 0.1, "snow": 0.1}))
    assert found == pytest.approx({"rain": 0.5, "sun": 0.25, "fog": 0.125, "snow": 0.125})


def test_a_shared_first_token_is_followed_where_it_was_written_and_shared_out_where_it_was_not() -> None:
    followed = chances(FIRST, (" s", {" s": 0.6, " rain": 0.3, " fog": 0.1}), ("un", {"un": 0.75, "now": 0.25}))
    assert followed == pytest.approx({"sun": 0.45, "rain": 0.3, "snow": 0.15, "fog": 0.1})
    shared = chances(FIRST, (" rain", {" s": 0.3, " rain": 0.6, " fog": 0.1}))
    assert shared == pytest.approx({"rain": 0.6, "sun": 0.15, "snow": 0.15, "fog": 0.1})


def test_what_is_not_listed_is_less_likely_than_the_least_that_is() -> None:
    found = chances(FIRST, (" rain", {" rain": 0.5, " sun": 0.1}))
    assert found["rain"] > found["sun"] > found["snow"] == found["fog"] > 0


def test_an_option_that_another_begins_with() -> None:
    place = Place("sky", "^", ("rain", "rain and wind", "sun"))
    ended = chances(place, ("rain", {"rain": 0.8, "sun": 0.2}), ("\n", {"\n": 0.6, " and": 0.2, " or": 0.2}))
    assert ended == pytest.approx({"rain": 0.64, "rain and wind": 0.16, "sun": 0.2}, abs=0.01)
    longer = chances(place, ("rain", {"rain": 0.8, "sun": 0.2}), (" and", {"\n": 0.25, " and": 0.75}))
    assert longer == pytest.approx({"rain": 0.2, "rain and wind": 0.6, "sun": 0.2}, abs=0.01)
    assert chances(place, ("rainy", {"rainy": 0.8, "sun": 0.2})) == {}


def test_an_option_that_another_begins_with_and_each_is_a_token() -> None:
    place = Place("sky", r"^\s*", ("rain", "rainy", "sun"))
    first = {" sun": 0.5, " rain": 0.45, " rainy": 0.05}
    expected = {"sun": 0.5, "rain": 0.45, "rainy": 0.05}
    for written, *then in ((" sun",), (" rainy",), (" rain", ("\n", {"\n": 1.0}))):
        assert chances(place, (written, first), *then) == pytest.approx(expected, abs=0.01), written


def test_a_longer_token_that_is_written_without_the_blank_takes_nothing() -> None:
    found = chances(FIRST, (" rain", {" rain": 0.6, " s": 0.3, "snow": 0.001, " fog": 0.1}))
    assert found["snow"] > found["sun"] > 0.14


def test_an_option_that_another_begins_with_ends_where_nothing_more_is_written() -> None:
    """As llama.cpp writes the token that ends a text: as nothing, with what else might have stood there."""
    place = Place("sky", "^", ("rain", "rain and wind", "sun"))
    first = ("rain", {"rain": 0.6, "sun": 0.4})
    ended = chances(place, first, ("\n", {"\n": 0.364, " and": 0.54}))
    assert ended == pytest.approx({"rain": 0.24, "rain and wind": 0.36, "sun": 0.4}, abs=0.01)
    stopped = read_chances([place], [*said(first), Token(b"", 0.001, {b"\n": 0.363, b" and": 0.54})])["sky"]
    assert stopped == pytest.approx(ended, abs=0.01)
    assert chances(place, first, ("", {"": 0.364, " and": 0.54})) == pytest.approx(ended, abs=0.01)
    longer = chances(place, first, (" and", {"": 0.364, " and": 0.54}), (" wind", {" wind": 1.0}))
    assert longer == pytest.approx(ended, abs=0.01), "the same, whichever was written"
    untold_end = chances(place, first, ("", {}))
    assert untold_end == pytest.approx({"rain": 0.6, "sun": 0.4}, abs=0.01)


def test_a_blank_of_its_own_that_was_to_begin_something_else() -> None:
    found = chances(FIRST, (" ", {" ": 0.8, " sun": 0.1, " fog": 0.05, " 1": 0.05}), ("rain", {"2": 0.9, "rain": 1e-9}))
    assert found["sun"] > found["fog"] > full(SKIES, found)["rain"]
    nothing = chances(FIRST, (" ", {" ": 0.9, " 1": 0.1}), ("rain", {"rain": 0.6, "sun": 0.4}))
    assert nothing["rain"] > nothing["sun"] > full(SKIES, nothing)["fog"]


def test_a_blank_of_its_own_is_one_of_two_ways_to_an_option() -> None:
    """As in languages where few letters have a token that begins with a blank."""
    place = Place("sky", r"^\s*", ("晴", "雨", "阴"))
    first = (" ", {" ": 0.9, " 雨": 0.04, "雨": 0.02, "\n": 0.04})
    found = chances(place, first, ("晴", {"晴": 0.6, "雨": 0.3, "阴": 0.1}))
    whole = 0.9 + 0.06
    expected = {"晴": 0.9 * 0.6 / whole, "雨": (0.9 * 0.3 + 0.06) / whole, "阴": 0.9 * 0.1 / whole}
    assert found == pytest.approx(expected, abs=0.002)


def test_letters_that_tokens_cut_in_two() -> None:
    place = Place("sky", "^", ("बारिश", "धूप"))
    first, second = "बारिश".encode()[:2], "बारिश".encode()[2:]
    tokens = [Token(first, 0.9, {first: 0.9, "धूप".encode(): 0.1}), Token(second, 1.0, {second: 1.0})]
    # Both begin with the same two bytes of three: the second token tells.
    assert read_chances([place], tokens)["sky"]["बारिश"] > 0.8


@pytest.mark.parametrize(
    ("notation", "written"),
    [("line", (" rain", ",", " 12")), ("json", ('{"', 'sky":', ' "', "rain", '",')), ("block", ("sky:", " rain"))],
)
def test_every_notation(notation: str, written: tuple[str, ...]) -> None:
    spec = AnswerSpec("forecast", (SKY, Number("high", low=-20, high=45)), notation)  # type: ignore[arg-type]
    tokens = [(text, {text: 0.5, text.replace("rain", "sun"): 0.3, "?": 0.2}) for text in written]
    found = read_chances(spec.places, said(*tokens))
    assert list(found) == ["sky"]
    sky = full(SKIES, found["sky"])
    assert sky["rain"] > sky["sun"] > sky["fog"] == sky["snow"] > 0


def test_a_field_behind_others_and_a_list() -> None:
    spec = AnswerSpec("a", (Number("high", low=0, high=99), Ranked("codes", options=("a b", "c"), top=2)), "line")
    found = read_chances(spec.places, said((" 12", {}), (".0,", {}), (" c", {" c": 0.3, " a": 0.6}), ("; a b", {})))
    assert found == {"codes": {"a b": pytest.approx(2 / 3, abs=1e-3), "c": pytest.approx(1 / 3, abs=1e-3)}}
    json = AnswerSpec("a", spec.fields, "json")
    found = read_chances(json.places, said(('{"high":"1","codes":["', {}), ("c", {"c": 0.5, "a": 0.5}), ('"]}', {})))
    assert found["codes"] == pytest.approx({"a b": 0.5, "c": 0.5})


@pytest.mark.parametrize("why", ["wet", "बादल छाए हुए हैं और बारिश होगी"])
@pytest.mark.parametrize("free", [Text("why", max_chars=40), Ranked("why", top=1)], ids=["text", "list"])
def test_a_field_behind_free_words_and_before_another(free: Text | Ranked, why: str) -> None:
    """Their letters count as letters, and a line is split at their first comma as when it is read."""
    spec = AnswerSpec("a", (free, SKY, Number("high", low=0, high=99)), "line")
    written = said(
        (why, {}), (",", {}), (" rain", {" rain": 0.6, " sun": 0.2, " fog": 0.1, " snow": 0.1}), (", 12", {})
    )
    assert read_chances(spec.places, written) == {"sky": {"rain": 0.6, "sun": 0.2, "snow": 0.1, "fog": 0.1}}


def test_a_field_behind_a_value_that_is_not_as_it_was_asked_for() -> None:
    fields = (Label("mood", options=("so, so", "good")), Number("high", low=0, high=9), SKY)
    spec = AnswerSpec("a", fields, "line")
    for mood, high in (("so, so", "5"), ("Good", "5"), ("good", "+123.456")):
        found = read_chances(
            spec.places, said((f"{mood}, {high}", {}), (",", {}), (" rain", {" rain": 0.6, " sun": 0.2}))
        )
        assert found["sky"]["rain"] > found["sky"]["sun"] > 0


def test_quoted_options_stand_as_json_writes_them() -> None:
    spec = AnswerSpec("a", (Label("say", options=('so "so"', "good")),), "json")
    found = read_chances(spec.places, said(('{"say": "', {}), ('so \\"', {'so \\"': 0.7, "good": 0.3}), ("so", {})))
    assert found["say"] == pytest.approx({'so "so"': 0.7, "good": 0.3})


@pytest.mark.parametrize("written", ["", "  ", "hail", "The sky: rain"])
def test_an_answer_that_names_no_option_tells_nothing(written: str) -> None:
    assert read_chances([FIRST], said((written, {written: 0.9}))) == {}
    assert read_chances([FIRST], []) == {}


texts = st.sampled_from([*SKIES, " rain", " s", "un", " sn", "ow", "\n", ",", "", " ", "x"])
tokens_of = st.lists(st.tuples(texts, st.dictionaries(texts, st.floats(0, 1), max_size=6), st.floats(0, 1)), max_size=5)


@given(tokens_of)
def test_whatever_the_tokens_are_chances_are_chances(drawn: list[tuple[str, dict[str, float], float]]) -> None:
    tokens = [Token(text.encode(), own, {o.encode(): c for o, c in others.items()}) for text, others, own in drawn]
    found = read_chances([FIRST], tokens).get("sky")
    if found is not None:
        whole = full(SKIES, found)
        assert list(whole) == list(SKIES)
        assert all(0 <= chance <= 1 for chance in whole.values())
        assert math.fsum(whole.values()) == pytest.approx(1)


def test_the_likeliest_branch_that_was_not_taken_is_untold() -> None:
    options = ("card lost", "card stolen", "card late", "fee high", "fee new", "top up")
    told = {"top up": 0.5, "card lost": 0.1, "card stolen": 0.1, "card late": 0.1, "fee high": 0.1, "fee new": 0.1}
    branch = untold(options, told)
    assert branch is not None
    assert branch.options == options[:3]
    assert branch.chance == pytest.approx(0.3)
    apart = shared_out(options, told, Untold(options[:3], 0.3), {"card late": 0.9, "card lost": 0.1})
    expected = {**told, "card late": 0.27, "card lost": 0.03, "card stolen": 0.0}
    assert full(options, apart) == pytest.approx(expected, abs=1e-3)
    left = untold(options, {**apart, "card stolen": 0.0001})
    assert left is not None
    assert left.options == options[3:5]


def test_options_too_unlikely_to_be_kept_belong_to_their_branch_as_well() -> None:
    options = (*(f"card {number}" for number in range(40)), "fee")
    told = likeliest({**dict.fromkeys(options, 0.01), "fee": 0.6})
    assert len(told) < len(options)
    branch = untold(options, told)
    assert branch is not None
    assert branch.options == options[:40]
    assert branch.chance == pytest.approx(0.4, abs=0.01)


def test_what_begins_otherwise_or_hardly_matters_is_left_alone() -> None:
    assert untold(SKIES, {"rain": 0.5, "fog": 0.25, "sun": 0.25}) is None
    assert untold(SKIES, {"rain": 0.96, "sun": 0.02, "snow": 0.02}) is None
    assert untold(SKIES, {}) is None


@given(st.dictionaries(st.sampled_from(SKIES), st.sampled_from([0.1, 0.2, 0.3]), max_size=3), st.data())
def test_sharing_out_moves_nothing_out_of_the_branch(told: dict[str, float], data: st.DataObject) -> None:
    branch = untold(SKIES, told)
    if branch is not None:
        within = data.draw(st.dictionaries(st.sampled_from(branch.options), st.floats(0.01, 1), max_size=2))
        before, after = full(SKIES, told), full(SKIES, shared_out(SKIES, told, branch, within))
        others = [option for option in SKIES if option not in branch.options]
        assert [after[option] for option in others] == pytest.approx([before[option] for option in others], abs=1e-3)


def test_only_the_likeliest_are_kept_and_the_others_share_the_rest() -> None:
    options = tuple(f"tag {number}" for number in range(140))
    kept = likeliest({option: 2.0**-place for place, option in enumerate(options)})
    assert len(kept) <= MOST_KEPT
    assert min(kept.values()) >= LEAST
    whole = full(options, kept)
    assert math.fsum(whole.values()) == pytest.approx(1)
    assert 0 < whole["tag 139"] <= kept[list(kept)[-1]]
    assert full(options, {}) == pytest.approx(dict.fromkeys(options, 1 / 140))
