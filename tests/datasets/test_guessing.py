"""A proposed task: it says what the table holds, can be used at once, and leaves out what knows the outcome."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.errors import DatasetError, LlmAsRnnError, UsageError
from llm_as_rnn.core.fields import Label, Number, Ranked, Text
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.formats import in_text, read_cells, read_data
from llm_as_rnn.datasets.guessing.dates import FORMATS, dates
from llm_as_rnn.datasets.guessing.figures import CURRENCIES, choose, figures
from llm_as_rnn.datasets.guessing.proposal import Proposal, Wishes, name_of, propose
from llm_as_rnn.datasets.guessing.words import NOTHING
from llm_as_rnn.datasets.guessing.written import task_text
from llm_as_rnn.datasets.notation import Notation
from llm_as_rnn.datasets.tables import Table, read_table


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def write(folder: Path, rows: list[dict[str, Any]] | str, name: str) -> Path:
    path = folder / name
    if isinstance(rows, str):
        path.write_text(rows, "utf-8")
    elif path.suffix == ".jsonl":
        path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    elif path.suffix == ".json":
        path.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    else:
        path.write_text(as_csv(rows), "utf-8", newline="")
    return path


def look(path: Path, **wishes: Any) -> tuple[Proposal, Table]:
    """Propose a task for a table, write its file, and read the table by it."""
    found = propose(read_cells(path, read_data(path)), name_of(path), Wishes(**wishes), as_text=in_text(path))
    file = path.with_name("task.yaml")
    file.write_text(task_text(found, str(path), str(file)), "utf-8", newline="")
    assert load_task(str(file)) == found.task
    return found, read_table(path, found.task)


def guess(folder: Path, rows: list[dict[str, Any]] | str, name: str = "t.csv", **wishes: Any) -> tuple[Proposal, Table]:
    return look(write(folder, rows, name), **wishes)


def data(found: Proposal) -> Columns:
    assert found.task.data is not UNSET
    return found.task.data


def role(found: Proposal, name: str) -> tuple[str, str]:
    return next((column.role, column.why) for column in found.columns if column.name == name)


def first(table: Table) -> Any:
    return next(sequence for part in table.splits.values() for sequence in part)


CELLS = st.one_of(
    st.none(),
    st.sampled_from(
        ["a", "b", "yes", "no", "true", "12", "-3,5", "1.234,50 €", "3 %", "03/04/2024", "2024-01-31", "{{ x }}"]
    ),
    st.integers(-(10**6), 10**6),
    st.floats(-1e9, 1e9),
    st.booleans(),
    st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=200),
    st.lists(st.sampled_from(["p", "q", "r -> s"]), max_size=3),
)
NAMES = st.sampled_from(
    [
        "next x",
        "y",
        "id",
        "fields",
        "about",
        "none",
        "class",
        "{{ a }}",
        "{% if %}",
        'say "hi"',
        "date",
        "_",
        "温度",
        "a#b",
        "x\\n",
    ]
) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=60)
@given(
    names=st.lists(NAMES, min_size=1, max_size=6, unique=True),
    data_=st.data(),
    name=st.sampled_from(["t.csv", "t.jsonl"]),
)
def test_whatever_is_in_a_table_its_task_can_be_used_or_one_line_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data_: st.DataObject, name: str
) -> None:
    columns = [data_.draw(st.sampled_from([CELLS, st.sampled_from(["a", "b", "c"]), st.integers(0, 9)])) for _ in names]
    rows = data_.draw(st.lists(st.tuples(*columns), min_size=1, max_size=12))
    table = [dict(zip(names, row, strict=True)) for row in rows]
    path = write(tmp_path_factory.mktemp("t"), table, name)
    try:
        read_cells(path, read_data(path))
    except DatasetError:
        return  # no table that anybody could read
    try:
        _, read = look(path)
    except LlmAsRnnError as error:
        assert len(str(error).splitlines()) == 1
        assert "1 row" in str(error) or "could be an outcome" in str(error)
        return
    steps = [step for part in read.splits.values() for sequence in part for step in sequence.steps]
    assert len(steps) == len(rows)


# --- how figures and dates are written --------------------------------------------------------------------------------

MARKED = st.tuples(st.sampled_from([".", ","]), st.sampled_from(["", ".", ",", " ", "'"])).filter(
    lambda pair: pair[0] != pair[1]
)


@given(st.decimals(-(10**9), 10**9, places=2), MARKED, st.sampled_from(["", *sorted(CURRENCIES)]), st.booleans())
def test_a_figure_is_read_as_it_was_written(value: Any, marks: tuple[str, str], sign: str, before: bool) -> None:
    decimal, thousands = marks
    text = f"{value:,.2f}".replace(".", "#").replace(",", thousands).replace("#", decimal)
    signed = (f"{sign} {text}" if before else f"{text} {sign}").strip()
    assert float(Notation(decimal, thousands, (sign,) if sign else ()).pointed(signed)) == float(value)
    seen = figures([signed])
    assert seen is not None
    assert marks in seen.marks
    assert seen.signs == ((sign,) if sign else ())


@pytest.mark.parametrize("text", ["V27", "007", "03.04.2024", "1.2.3", "12 monkeys ran", "", "-", "1,2,3", "€"])
def test_other_texts_are_no_figures(text: str) -> None:
    assert figures([text, "12"]) is None


def test_words_behind_figures_are_a_unit_only_where_all_have_it() -> None:
    assert figures(["3 days", "1 day"]) is not None
    assert figures(["3 apples", "2 pears"]) is None
    assert figures(["3 kg", "2"]) is None


def test_one_column_settles_how_another_is_read() -> None:
    found = {"a": figures(["1.234"]), "b": figures(["0,5"])}
    choice = choose({name: figure for name, figure in found.items() if figure})
    assert (choice.notation, choice.doubt) == (Notation(",", "."), "")


@settings(max_examples=30)
@given(
    st.sampled_from(
        [format_ for format_ in FORMATS if "%d" in format_ and "%y" not in format_ and "%f" not in format_]
    ),
    st.lists(
        st.dates(date(1990, 1, 1), date(2040, 1, 1)).map(lambda day: datetime.combine(day, time(15, 4, 5), UTC)),
        min_size=1,
        max_size=5,
    ),
)
def test_dates_are_read_as_they_were_written_or_the_doubt_is_named(format_: str, values: list[datetime]) -> None:
    texts = [value.strftime(format_) for value in values]
    found = dates(texts)
    assert found is not None
    meant = tuple(datetime.strptime(text, format_) for text in texts)  # noqa: DTZ007 - the format says
    assert found.values == meant or found.other


@pytest.mark.parametrize(
    ("texts", "format_"),
    [
        (["Jan 1 2000", "Feb 12 2000"], "%b %d %Y"),
        (["January 1 2000", "May 12 2000"], "%B %d %Y"),
        (["1 January 2000", "12 May 2000"], "%d %B %Y"),
        (["Jan 2000", "Feb 2000"], "%b %Y"),
        (["Jan-00", "Feb-00"], "%b-%y"),
        (["Mon, 03 Jun 2024 10:00:00 +0200", "Tue, 04 Jun 2024 10:00:00 +0200"], "%a, %d %b %Y %H:%M:%S %z"),
        (["20000101", "20000229"], "%Y%m%d"),
        (["2000-W05", "2000-W06"], ""),
        (["2024-05-01 10:00:00+02:00", "2024-05-01T10:00:00Z"], ""),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.json"])
def test_dates_in_many_ways_are_an_order_that_a_run_reads(
    tmp_path: Path, texts: list[str], format_: str, name: str
) -> None:
    rows = [{"when": text, "y": "ab"[number % 2]} for number, text in enumerate(reversed(texts))]
    found, table = guess(tmp_path, rows, name)
    columns = data(found)
    assert (columns.order, columns.dates) == ("when", format_ or UNSET)
    steps = [step for part in ("development", "held_out") for s in table.splits[part] for step in s.steps]
    assert [step.target for step in steps] == [{"y": "b"}, {"y": "a"}]


@pytest.mark.parametrize("texts", [["20000101", "20000132"], ["12345678", "12345679"], ["2000", "2001"], ["12", "13"]])
def test_other_numbers_are_no_dates(texts: list[str]) -> None:
    assert dates(texts) is None


WORDS = st.text("abcdefN/-?.", min_size=1, max_size=4).filter(lambda word: word.strip() and not set(word) <= set("-."))


@settings(max_examples=40)
@given(
    numbers=st.lists(st.one_of(st.none(), st.integers(-99, 99)), min_size=2, max_size=8),
    word=st.one_of(WORDS, st.sampled_from(sorted(NOTHING))),
    name=st.sampled_from(["t.csv", "t.json", "t.jsonl"]),
)
def test_what_stands_for_nothing_is_nothing(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int | None], word: str, name: str
) -> None:
    """Whichever word it is, if it is named; and unnamed, if people usually mean nothing by it."""
    numbers = [*numbers, 1, 2, None]
    folder = tmp_path_factory.mktemp("t")
    plain = [{"x": number, "y": "ab"[place % 2]} for place, number in enumerate(numbers)]
    worded = [{**row, "x": word if row["x"] is None else row["x"]} for row in plain]
    said = {} if word in NOTHING else {"missing": (word,)}
    found, table = guess(folder, worded, name, outcome=("y",), **said)
    assert data(found).missing == (word,)
    shown = [step.observation.fields["x"] for part in table.splits.values() for s in part for step in s.steps]
    assert shown == numbers


def test_a_word_that_texts_have_too_stays_one_there(tmp_path: Path) -> None:
    rows = [{"x": ["none", "mild", "bad"][number % 3], "y": number % 5} for number in range(9)]
    found, table = guess(tmp_path, rows, outcome=("y",))
    assert data(found).missing is UNSET
    assert first(table).steps[0].observation.fields["x"] == "none"


R_TABLE = """\
"","Ozone","Temp","Month","Day"
"1",41,67,5,1
"2",36,72,5,2
"3",NA,74,6,1
"4",18,62,6,2
"5",NA,56,7,1
"6",28,66,7,2
"""


def test_a_table_as_statistics_programs_write_it(tmp_path: Path) -> None:
    """Rows are numbered in a column without a name; months and days are neither outcomes nor, alone, an order."""
    found, table = guess(tmp_path, R_TABLE)
    assert role(found, "__index_level_0__")[0] == "left out"
    assert (data(found).order, data(found).outcome) == ("", {"Temp": "Temp"})
    assert first(table).steps[2].observation.fields == {"Ozone": None, "Month": 6, "Day": 1}


def test_remarks_and_what_is_seldom_there_are_no_outcomes(tmp_path: Path) -> None:
    rows = [
        {"y": "ab"[number % 2], "seldom": "pq"[number % 2] if number < 4 else None, "comments": "kl"[number % 2]}
        for number in range(12)
    ]
    assert data(guess(tmp_path, rows)[0]).outcome == {"y": "y"}
    named, _ = guess(tmp_path, rows, outcome=("seldom",))
    assert data(named).outcome == {"seldom": "seldom"}


@pytest.mark.parametrize("values", [[1735689600123, 1735689600127], [3e-7, 9e-7], [0.1, 0.3]])
def test_a_range_has_room_for_all_that_came_and_for_an_answer(tmp_path: Path, values: list[float]) -> None:
    texts = [f"{value:.9f}".rstrip("0").rstrip(".") for value in values]
    rows = [{"x": "ab"[number % 2], "y": texts[number % 2]} for number in range(40)]
    field = guess(tmp_path, rows, outcome=("y",))[0].task.answer[0]
    assert isinstance(field, Number)
    assert field.low <= min(values) < max(values) <= field.high
    assert all(field.low <= field.answer_near(value) <= field.high for value in values)


@pytest.mark.parametrize("small", [5e-310, 3e-9])
def test_numbers_as_programs_write_very_small_ones_are_numbers(tmp_path: Path, small: float) -> None:
    texts = [f"{small}", f"{small * 1.5}", "0.25"]
    rows = [{"x": "ab"[number % 2], "y": texts[number % 3]} for number in range(1, 40)]
    found, table = guess(tmp_path, rows)
    field = found.task.answer[0]
    assert isinstance(field, Number)
    assert field.low <= small < 0.25 <= field.high
    assert first(table).steps[1].target == {"y": 0.25}
    assert isinstance(guess(tmp_path, [row for row in rows if row["y"] != "0.25"])[0].task.answer[0], Number)


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_minus_of_printed_texts_is_one(tmp_path: Path, decimal: str) -> None:
    rows = [{"x": "ab"[number % 2], "y": f"\u2212{number}.5".replace(".", decimal)} for number in range(1, 20)]
    found, table = guess(tmp_path, rows)
    assert isinstance(found.task.answer[0], Number)
    assert first(table).steps[0].target == {"y": -1.5}
    assert all(type(step.observation.fields["x"]) is str for step in first(table).steps)


def test_the_first_day_that_there_is_puts_rows_in_order(tmp_path: Path) -> None:
    """It is what some programs write for none; no time zone of a machine has a name for it."""
    rows = [{"day": f"0001-01-0{number}", "y": number * number} for number in range(1, 8)]
    assert data(guess(tmp_path, rows)[0]).order == "day"


def test_no_more_digits_are_asked_for_than_anybody_knows(tmp_path: Path) -> None:
    rows = [{"x": "ab"[number % 2], "y": 1000.12345 * number} for number in range(1, 40)]
    field = guess(tmp_path, rows)[0].task.answer[0]
    assert isinstance(field, Number)
    assert field.decimals == 1


# --- roles, leaks, kinds ----------------------------------------------------------------------------------------------

BILLS = """\
Nr;Kunde;Datum;Umsatz (€);Rabatt
R-1;Müller;03.01.2024;1.234,50 €;5,0 %
R-2;Ott;04.01.2024;310,00 €;0,0 %
R-3;Müller;13.01.2024;1.430,25 €;5,0 %
R-4;Ott;11.01.2024;99,90 €;0,0 %
R-5;Müller;25.01.2024;1.050,00 €;2,5 %
R-6;Ott;16.01.2024;95,00 €;0,0 %
"""


def test_a_table_in_european_style(tmp_path: Path) -> None:
    found, table = guess(tmp_path, BILLS)
    columns = data(found)
    assert (columns.order, columns.dates, columns.sequence) == ("Datum", "%d.%m.%Y", "Kunde")
    assert (columns.decimal, columns.thousands, columns.signs) == (",", ".", ("€", "%"))
    assert columns.outcome == {"Umsatz": "Umsatz (€)"}
    assert found.task.answer == (Number("Umsatz", "Umsatz (€)", unit="€", low=0, high=1800, decimals=2),)
    steps = {step.observation.sequence: step for part in table.splits.values() for s in part for step in s.steps[:1]}
    assert steps["Müller"].target == {"Umsatz": 1234.5}
    assert found.task.show(steps["Müller"].observation, "line") == "Rabatt 5.0 %"
    assert role(found, "Nr") == ("left out", "it names the row and tells nothing")
    assert found.doubts == ()


def readings(hours: int = 12) -> list[dict[str, Any]]:
    begin = datetime(2024, 5, 1, tzinfo=UTC)
    return [
        {
            "sensor": sensor,
            "site": site,
            "ts": (begin + timedelta(hours=hour)).isoformat(),
            "temperature": round(20 + 5 * number + (hour * 7 % 5) / 2, 1),
            "humidity": None if hour % 5 == 0 else 40 + hour,
        }
        for hour in range(hours)
        for number, (sensor, site) in enumerate([("a", "north"), ("b", "north"), ("c", "south")])
    ]


def test_regular_readings_are_predicted_one_ahead(tmp_path: Path) -> None:
    rows = readings()
    found, table = guess(tmp_path, rows, "t.jsonl", outcome=("temperature",))
    columns = data(found)
    assert (columns.sequence, columns.order, columns.about, columns.ahead) == ("sensor", "ts", ("site",), 1)
    assert columns.fields == ("temperature", "humidity")
    (field,) = found.task.answer
    assert field.last == "temperature"
    sequence = first(table)
    mine = [row["temperature"] for row in rows if row["sensor"] == sequence.info.id]
    assert [step.observation.fields["temperature"] for step in sequence.steps] == mine
    assert [step.target for step in sequence.steps] == [*({"temperature": one} for one in mine[1:]), None]


def test_of_the_row_itself_where_somebody_says_so(tmp_path: Path) -> None:
    found, table = guess(tmp_path, readings(), "t.jsonl", outcome=("temperature",), ahead=0)
    assert data(found).ahead is UNSET
    assert "temperature" not in first(table).steps[0].observation.fields


def tickets(**more: Any) -> list[dict[str, Any]]:
    begin = datetime(2024, 3, 2, 8, tzinfo=UTC)
    queues = ["billing", "technical", "billing", "shipping"]
    rows = []
    for number in range(24):
        queue = queues[number * 7 % 4] if number < 21 else None
        opened = begin + timedelta(minutes=37 * number * (1 + number % 3))
        row = {"ticket": f"T-{number}", "opened": opened.isoformat(), "channel": ["mail", "chat", "phone"][number % 3]}
        rows.append({**row, "queue": queue, **{name: make(number, queue, opened) for name, make in more.items()}})
    return rows


LEAKS = {
    "with it": ("agent", lambda number, queue, opened: queue and f"w{number % 5}", "filled only where queue is"),
    "itself": ("desk", lambda number, queue, opened: (queue or "none").upper(), "it holds queue itself"),
    "function": ("desk", lambda number, queue, opened: {"billing": "B7"}.get(queue, "X2"), "goes with one queue"),
    "filled": (
        "amount",
        lambda number, queue, opened: number * 3 % 11 if queue == "billing" else None,
        "queue is billing",
    ),
    "later": ("touched", lambda number, queue, opened: (opened + timedelta(days=2)).isoformat(), "come after opened"),
    "name": ("resolution minutes", lambda number, queue, opened: number * 13 % 29, "known later"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_what_seems_to_know_the_outcome_is_left_out_with_the_reason(tmp_path: Path, name: str) -> None:
    column, make, why = LEAKS[name]
    rows = tickets(**{column: make})
    if name == "function":
        rows = [{**row, "queue": {"shipping": "technical"}.get(row["queue"], row["queue"])} for row in rows]
    found, _ = guess(tmp_path, rows, outcome=("queue",))
    assert role(found, column)[0] == "left out"
    assert why in role(found, column)[1]
    assert role(found, "channel") == ("shown", "")
    kept, _ = guess(tmp_path, rows, outcome=("queue",), keep=(column,))
    assert role(kept, column) == ("shown", "as you say")


def test_a_column_that_predicts_well_is_no_leak(tmp_path: Path) -> None:
    rows = tickets(hint=lambda number, queue, opened: queue if number % 3 else "billing")
    found, _ = guess(tmp_path, rows, outcome=("queue",))
    assert role(found, "hint") == ("shown", "")


@pytest.mark.parametrize(
    ("column", "cells", "kind"),
    [
        ("y", ["yes", "no", "no"], Label),
        ("y", ["0", "1", "1"], Label),
        ("y", ["1", "2", "5"], Number),
        ("y", ["a; b", "b", "c; a"], Ranked),
        ("y", ["it rains -> so", "it snows", "nothing"], Text),
    ],
)
def test_the_kind_of_an_outcome_is_read_off_its_values(
    tmp_path: Path, column: str, cells: list[str], kind: type
) -> None:
    rows = [{"x": f"w{number % 2}", column: cell} for number, cell in enumerate(cells * 3)]
    found, _ = guess(tmp_path, rows, outcome=(column,))
    assert isinstance(found.task.answer[0], kind)


def test_long_texts_are_shortened_in_line_and_case(tmp_path: Path) -> None:
    rows = [{"message": f"{number} " + "word " * 80, "y": "ab"[number % 2]} for number in range(10)]
    found, table = guess(tmp_path, rows)
    step = first(table).steps[0]
    line, case = (found.task.show(step.observation, form) for form in ("line", "case"))
    assert len(case) < 100 < len(line) < 230 < len(found.task.show(step.observation, "json"))


def test_very_long_texts_are_cut_in_every_form(tmp_path: Path) -> None:
    """Three thousand words are more than most models take at once."""
    rows = [{"message": f"{number} " + "word " * 3000, "y": "ab"[number % 2]} for number in range(10)]
    found, table = guess(tmp_path, rows)
    step = first(table).steps[0]
    shown = [len(found.task.show(step.observation, form)) for form in ("case", "line", "json")]
    assert shown[0] < 100 < shown[1] < 230 < shown[2] < 4100
    assert "# truncate(N)" in (tmp_path / "task.yaml").read_text("utf-8")


def test_of_very_many_columns_a_line_has_the_first(tmp_path: Path) -> None:
    rows = [
        {**{f"c{place}": number * place % 7 for place in range(1, 300)}, "y": "ab"[number % 2]} for number in range(9)
    ]
    found, table = guess(tmp_path, rows)
    step = first(table).steps[0]
    case, line, full = (found.task.show(step.observation, form) for form in ("case", "line", "json"))
    assert len(case) < 200 < len(line) <= 1000
    assert len(full.splitlines()) == len(data(found).fields) > 200
    assert f"# The first {found.in_line} columns alone" in (tmp_path / "task.yaml").read_text("utf-8")


def test_a_date_that_may_be_two_is_named_and_settled(tmp_path: Path) -> None:
    rows = [{"day": f"0{month}/0{day}/2024", "y": "ab"[day % 2]} for month, day in [(3, 4), (2, 5), (1, 6), (5, 2)]]
    found, _ = guess(tmp_path, rows)
    (doubt,) = found.doubts
    assert doubt.about == "dates"
    assert set(doubt.choices) == {"%d/%m/%Y", "%m/%d/%Y"}
    assert "Not sure" in (tmp_path / "task.yaml").read_text("utf-8")
    settled, _ = guess(tmp_path, rows, dates="%m/%d/%Y")
    assert (data(settled).dates, settled.doubts) == ("%m/%d/%Y", ())
    with pytest.raises(UsageError, match="not written as %Y"):
        guess(tmp_path, rows, dates="%Y.%m.%d")


def test_a_figure_that_may_be_two_is_named_and_settled(tmp_path: Path) -> None:
    rows = [{"x": "ab"[number % 2], "price": f"{number},{number}50"} for number in range(1, 7)]
    found, table = guess(tmp_path, rows)
    (doubt,) = found.doubts
    assert (doubt.about, doubt.choices) == ("decimal", (".", ","))
    assert first(table).steps[0].target == {"price": 1150.0}
    settled, table = guess(tmp_path, rows, decimal=",")
    assert settled.doubts == ()
    assert first(table).steps[0].target == {"price": 1.15}


@pytest.mark.parametrize(
    ("text", "wishes", "says"),
    [
        ("x,y\n1,a\n", {}, "1 row"),
        ("x,y\n1,a\n2,a\n", {"outcome": ("z",)}, "no column 'z'"),
        ("x,y\n1,a\n2,a\n", {"outcome": ("y",)}, "same in every row"),
        ("id,y\na1,k\na2,k\n", {}, "no column could be an outcome"),
        ("z,y\na,1\nb,2\n", {"order": "z"}, "z cannot be the order: it holds neither numbers nor dates"),
        ("day,y\n2024-01-01,1\n,2\n2024-01-03,3\n", {"order": "day"}, "day cannot be the order: row 2 has no place"),
        ("day,y\n2024-01-01,1\n7,2\n", {"order": "day"}, "day cannot be the order: it holds neither"),
        ("x,y\na,-1.7e308\nb,1.7e308\n", {"outcome": ("y",)}, "y cannot be an outcome: .* further apart"),
        ("day,y\n2024-01-01,a\n2024-01-02,b\n", {"outcome": ("day",)}, ""),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path: Path, text: str, wishes: dict[str, Any], says: str) -> None:
    if not says:  # a date can be asked for as a text
        assert isinstance(guess(tmp_path, text, **wishes)[0].task.answer[0], Text)
        return
    with pytest.raises((DatasetError, UsageError), match=says):
        guess(tmp_path, text, **wishes)


@pytest.mark.parametrize("name", ["no", "null", "{{ x }}", "a: b", "#", 'say "hi"', "fields", "about", "none", "温度"])
@pytest.mark.parametrize("cells", [["0.0", "4e9", "1e9"], ["no", "yes", "null"], ["{{ x }}", "{% y %}", "#"]])
def test_no_name_and_no_value_breaks_the_file(tmp_path: Path, name: str, cells: list[str]) -> None:
    figures_of = [[float(cell) for cell in cells] if cells[1] == "4e9" else cells]
    rows = [{name: cell, f"x {name}": cell} for cell in figures_of[0] * 4]
    found, table = guess(tmp_path, rows, "t.jsonl", outcome=(name,), keep=(f"x {name}",))
    step = first(table).steps[0]
    assert step.target is not None
    assert str(rows[0][name]) in found.task.show(step.observation, "line")
