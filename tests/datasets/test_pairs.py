"""Several columns that tell sequences apart together: different values are never one sequence; `init` finds them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.errors import DatasetError, TaskError
from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.task import MemorySection, Task, load_task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.datasets.formats import in_text, read_cells, read_data
from llm_as_rnn.datasets.guessing.proposal import Proposal, Wishes, name_of, propose
from llm_as_rnn.datasets.guessing.written import task_text
from llm_as_rnn.datasets.tables import Table, part_of, read_table, sequence_id

DEMAND = Path("examples/notebooks/demand.csv")

TASK = Task(
    name="t",
    title="T",
    instructions="Predict.",
    observation="{{ sold }}",
    line="{{ sold }}",
    answer=(Number("sold", low=0, high=1000),),
    memory=(MemorySection("Notes", "anything"),),
    data=Columns({"sold": "sold"}, sequence=("shop", "product"), order="day", ahead=1),
)


def of(**said: Any) -> Task:
    """Give the task, with something else said of its columns."""
    assert isinstance(TASK.data, Columns)
    return msgspec.structs.replace(TASK, data=msgspec.structs.replace(TASK.data, **said))


def shelves(
    shops: tuple[str, ...] = ("A/B", "A"),
    products: tuple[str, ...] = ("C", "B/C"),
    days: int = 6,
    names: tuple[str, str] = ("shop", "product"),
) -> list[dict[str, Any]]:
    """List sales by day, shop and product, that tell where they come from."""
    begin = date(2024, 5, 1)
    return [
        {
            "day": str(begin + timedelta(days=day)),
            names[0]: shop,
            names[1]: product,
            "town": f"town of {shop}",
            "sold": 100 * shops.index(shop) + 10 * products.index(product) + (day * 7) % 10,
        }
        for day in range(days)
        for shop, product in itertools.product(shops, products)
    ]


def write(folder: Path, rows: list[dict[str, Any]], name: str = "t.csv") -> Path:
    path, frame = folder / name, polars.DataFrame(rows)
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".parquet":
            frame.write_parquet(path)
        case ".jsonl":
            frame.write_ndjson(path)
        case _:
            path.write_bytes(msgspec.json.encode(rows))
    return path


def every(table: Table) -> dict[str, Sequence]:
    found = [sequence for part in table.splits.values() for sequence in part]
    assert len({sequence.info.id for sequence in found}) == len(found)
    return {sequence.info.id: sequence for sequence in found}


# --------------------------------------------------------------------------------------------------------- the names

VALUES = st.text(st.sampled_from("a/\\ ,") | st.characters(codec="utf-8"), max_size=6)


@given(st.integers(2, 4).flatmap(lambda many: st.tuples(*[st.lists(VALUES, min_size=many, max_size=many)] * 2)))
def test_different_values_never_have_one_name(both: tuple[list[str], list[str]]) -> None:
    one, other = both
    assert (sequence_id(one) == sequence_id(other)) == (one == other)


def test_no_two_of_all_short_values_have_one_name() -> None:
    values = ["".join(signs) for many in range(4) for signs in itertools.product("/\\a", repeat=many)]
    pairs = list(itertools.product(values, repeat=2))
    assert len(set(map(sequence_id, pairs))) == len(pairs)


@given(VALUES)
def test_a_single_value_is_the_name_as_ever(value: str) -> None:
    assert sequence_id([value]) == value


# --------------------------------------------------------------------------------------------------------- the reader


@pytest.mark.parametrize("name", ["t.csv", "t.json", "t.jsonl", "t.parquet"])
def test_sequences_are_those_of_both_columns_in_every_kind_of_file(tmp_path: Path, name: str) -> None:
    rows = shelves()
    table = read_table(write(tmp_path, rows[::-1], name), of(about=("town",)))
    found = every(table)
    assert set(found) == {r"A\/B/C", r"A\/B/B\/C", "A/C", r"A/B\/C"}
    for sequence_id_, sequence in found.items():
        assert sequence in table.splits[part_of(sequence_id_)]
    mine = [row["sold"] for row in rows if (row["shop"], row["product"]) == ("A", "B/C")]
    sequence = found[r"A/B\/C"]
    # Neither is shown, rows stand in their order, and the next one's outcome is that of the same shelf.
    assert [step.observation.fields for step in sequence.steps] == [{"sold": sold} for sold in mine]
    assert [step.target for step in sequence.steps] == [*({"sold": sold} for sold in mine[1:]), None]
    assert sequence.info.about == {"town": "town of A"}
    assert table.notices == ()


def test_numbers_of_shops_are_told_apart_as_they_are_written(tmp_path: Path) -> None:
    rows = shelves(("1.50", "1.5"), ("7", "7.0"))
    assert set(every(read_table(write(tmp_path, rows), TASK))) == {"1.50/7", "1.50/7.0", "1.5/7", "1.5/7.0"}


def test_one_column_as_a_list_is_that_column() -> None:
    assert of(sequence=("shop",)) == of(sequence="shop")
    assert msgspec.json.encode(of(sequence=("shop",))) == msgspec.json.encode(of(sequence="shop"))
    assert msgspec.json.encode(of(sequence=())) == msgspec.json.encode(of(sequence=""))
    assert msgspec.json.decode(msgspec.json.encode(TASK), type=Task) == TASK


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"sequence": ("shop", "shop")}, "sequence lists a column twice"),
        ({"sequence": ("shop", "")}, "sequence lists an empty name"),
        ({"sequence": ("shop", "sold")}, "'sold' is an outcome and cannot be the sequence"),
    ],
)
def test_columns_that_cannot_be_are_refused(said: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        of(**said)


def test_a_task_file_takes_a_list(tmp_path: Path) -> None:
    text = (
        "name: t\ntitle: T\ninstructions: i\nobservation: x\nline: x\nanswer:\n"
        "  - {name: y, kind: number, low: 0, high: 1}\n"
        "memory:\n  - {name: N, about: n}\ndata:\n  outcome: {y: y}\n  sequence: "
    )
    path = tmp_path / "t.yaml"
    path.write_text(text + "[shop, product]\n", "utf-8")
    data = load_task(str(path)).data
    assert isinstance(data, Columns)
    assert data.apart == ("shop", "product")
    path.write_text(text + "[shop, 2]\n", "utf-8")
    with pytest.raises(TaskError, match=r"line 12.*Expected `str`, got `int`"):
        load_task(str(path))


@pytest.mark.parametrize(
    ("sequence", "says", "hint"),
    [
        (("shop", "prodct"), "no column 'prodct'", "did you mean 'product'"),
        ("shop, product", "no column 'shop, product'", r"as a list: sequence: \[shop, product\]"),
    ],
)
def test_a_column_that_is_not_there_is_named(tmp_path: Path, sequence: Any, says: str, hint: str) -> None:
    with pytest.raises(DatasetError, match=f"{says}.*{hint}"):
        read_table(write(tmp_path, shelves()), of(sequence=sequence))


def test_an_empty_cell_in_any_of_them_is_named(tmp_path: Path) -> None:
    rows = shelves()
    rows[2]["product"] = None
    with pytest.raises(DatasetError, match="line 4, column 'product': does not name a sequence"):
        read_table(write(tmp_path, rows), TASK)


# ----------------------------------------------------------------------------------------------------- what init finds


def look(path: Path, **wishes: Any) -> tuple[Proposal, Columns]:
    """Propose a task, and read the file that says so, and the table by it."""
    found = propose(read_cells(path, read_data(path)), name_of(path), Wishes(**wishes), as_text=in_text(path))
    return found, columns(found)


def columns(found: Proposal) -> Columns:
    assert isinstance(found.task.data, Columns)
    return found.task.data


def test_the_table_of_the_notebook(tmp_path: Path) -> None:
    found, data = look(DEMAND)
    assert (data.sequence, data.order, data.outcome, data.later) == (("shop", "product"), "day", {"units": "units"}, 1)
    assert data.fields == ("weekday", "promotion", "units")
    assert [(one.role, one.why) for one in found.columns if one.name == "shop"] == [
        ("sequence", "together with product")
    ]
    assert found.sequences == 3
    path = tmp_path / "demand.yaml"
    path.write_text(task_text(found, "demand.csv", "demand.yaml"), "utf-8")
    task = load_task(str(path))
    assert task == found.task
    assert set(every(read_table(DEMAND, task))) == {"harbour/rolls", "harbour/coffee", "station/rolls"}


def test_what_stays_the_same_of_a_pair_is_about(tmp_path: Path) -> None:
    _, data = look(write(tmp_path, shelves(("N", "S", "W"), ("bread", "milk"))))
    assert (data.sequence, data.about, data.later) == (("shop", "product"), ("town",), 1)


def test_leaks_are_looked_for_in_the_next_row_of_the_same_sequence(tmp_path: Path) -> None:
    rows = shelves(days=12)
    later: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        row["sold"] = (row["sold"] * 37 + len(later) * 11 + len(later[row["shop"], row["product"]]) ** 2) % 101
        later[row["shop"], row["product"]].append(row["sold"])
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        key = row["shop"], row["product"]
        seen[key] += 1
        row["peek"] = later[key][seen[key]] if seen[key] < len(later[key]) else None
    found, data = look(write(tmp_path, rows), outcome=("sold",), ahead=1)
    assert data.sequence == ("shop", "product")
    assert [one.why for one in found.columns if one.name == "peek"] == ["may be a leak: it holds sold itself"]


def test_one_column_that_is_enough_stays_alone(tmp_path: Path) -> None:
    rows = [{**row, "sensor": f"{row['shop']} {row['product']}"} for row in shelves()]
    assert look(write(tmp_path, rows))[1].sequence == "sensor"


def test_where_names_say_so_they_come_before_others(tmp_path: Path) -> None:
    rows = [{**row, "colour": f"c{row['product']}"} for row in shelves(("N", "S", "W"), ("x", "y", "z"), 20)]
    rows = [{"day": row["day"], "colour": row.pop("colour"), **row} for row in rows]
    assert look(write(tmp_path, rows))[1].sequence == ("shop", "product")


def test_other_names_are_enough_where_the_rows_leave_no_doubt(tmp_path: Path) -> None:
    many = shelves(("N", "S", "W"), ("x", "y", "z"), 20, ("lane", "colour"))
    assert look(write(tmp_path, many))[1].sequence == ("lane", "colour")
    few = shelves(("N", "S"), ("x", "y"), 3, ("lane", "colour"))
    assert not look(write(tmp_path, few))[1].sequence
    assert look(write(tmp_path, shelves(("N", "S"), ("x", "y"), 3)))[1].sequence == ("shop", "product")


def test_a_sequence_has_some_rows(tmp_path: Path) -> None:
    rows = shelves(("N", "S", "W"), ("x", "y", "z"), 3)
    assert look(write(tmp_path, rows))[1].sequence == ("shop", "product")
    short = [row for row in rows if row["day"] < "2024-05-03"]
    assert look(write(tmp_path, short))[1].sequence != ("shop", "product")


def test_what_looks_like_the_outcome_is_no_part_of_it_unless_another_one_is(tmp_path: Path) -> None:
    rows = shelves(("N", "S", "W"), ("x", "y", "z"), 20, ("shop", "category"))
    path = write(tmp_path, rows)
    assert look(path)[1].sequence != ("shop", "category")
    assert look(path, outcome=("sold",))[1].sequence == ("shop", "category")


def test_something_to_predict_is_left(tmp_path: Path) -> None:
    rows = [{name: row[name] for name in ("day", "shop", "product")} for row in shelves(days=20)]
    assert list(look(write(tmp_path, rows))[1].outcome.values()) == ["product"]


def test_numbers_of_shops_and_hours_are_taken_where_they_are_whole(tmp_path: Path) -> None:
    rows = shelves(("N", "S", "W"), ("x", "y", "z"), 20)
    numbered = [{**row, "shop": "NSW".index(row["shop"]) + 1, "product": "xyz".index(row["product"])} for row in rows]
    assert look(write(tmp_path, numbered))[1].sequence == ("shop", "product")
    parts = [{"shop": row["shop"] + 0.5, **{n: row[n] for n in ("day", "product", "sold")}} for row in numbered]
    assert not look(write(tmp_path, parts))[1].sequence
    hours = [{"hour": row["product"], **{n: row[n] for n in ("day", "shop", "sold")}} for row in numbered]
    assert look(write(tmp_path, hours))[1].sequence == ("hour", "shop")


def test_months_of_a_year_are_places_and_no_sequences(tmp_path: Path) -> None:
    rows = [
        {"year": year, "month": f"m{month}", "site": site, "visitors": year % 7 + month + len(site)}
        for year in range(2000, 2012)
        for month in range(12)
        for site in ("lake", "castle", "tower")
    ]
    assert look(write(tmp_path, rows))[1].sequence == "site"


def test_the_hour_that_a_change_of_clocks_repeats_does_no_harm(tmp_path: Path) -> None:
    rows = shelves(("N", "S", "W"), ("x", "y", "z"), 80)
    once = look(write(tmp_path, [*rows, rows[-1]]))[1]
    assert (once.sequence, once.later) == (("shop", "product"), 1)
    assert look(write(tmp_path, [*rows, *rows[:40]]))[1].sequence != ("shop", "product")


def test_what_somebody_says_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, shelves())
    assert look(path, sequence=("product", "shop", "town"))[1].sequence == ("product", "shop", "town")
    assert look(path, sequence=("town",))[1].sequence == "town"
    assert look(path, sequence=())[1].sequence == ""
    guessed = [Task.guess(shelves(), outcome="sold", sequence=said).data for said in ("shop", ["shop", "town"], "")]
    assert [data.sequence for data in guessed if isinstance(data, Columns)] == ["shop", ("shop", "town"), ""]
