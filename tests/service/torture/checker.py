"""Whether what was acknowledged holds: by the database's rows, and by what the service says of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.scoring import scored
from llm_as_rnn.service.step_rows import read_waiting
from llm_as_rnn.service.sum_rows import BLOCKS, read_sums
from tests.service.torture.clients import OK, Client, Ledger, Name
from tests.service.torture.process import MARK, answer
from tests.service.torture.replay import Replayer
from tests.service.torture.tables import Session, Tables, plain

Sums = dict[str, tuple[int, float]]


async def check(ledger: Ledger, tables: Tables) -> list[str]:
    """Check everything that can be read from the tables; give what is wrong."""
    found = list(ledger.odd)
    known = {session.name: session for session in tables.sessions}
    found += _acknowledged(ledger, known)
    found += _memories(ledger, known)
    for session in tables.sessions:
        found += [f"{session.name}: {fault}" for fault in (*_counted(session), *_ordered(session), *_alone(session))]
        found += [f"{session.name}: {fault}" for fault in (*_scored(session), *_history(session))]
    found += _spent(tables)
    replayer = Replayer(ScriptedEngine(answer))
    for session in tables.sessions:  # forks have higher numbers than what they were forked from
        found += await replayer.replay(session)
    return found


async def check_answers(client: Client, ledger: Ledger, tenant: str) -> list[str]:
    """Check what the service itself says of a tenant's acknowledged predictions and outcomes."""
    found = []
    for session in ledger.sessions[tenant]:
        steps: dict[str, Any] = {}
        after = -1
        while True:
            status, page = await client.ask("GET", f"/sessions/{session}/steps?after={after}&limit=100")
            if status != OK or not page:
                break
            steps |= {step["prediction"]["id"]: step for step in page}
            after = page[-1]["prediction"]["t"]
        for name, body in ledger.predictions.items():
            if (name.tenant, name.session) != (tenant, session):
                continue
            step = steps.get(name.id)
            if step is None:
                found.append(f"{name} was acknowledged, and the service does not list it")
            elif {**step["prediction"], "state": ""} != {**body, "state": ""}:
                found.append(f"{name} was answered with {body}, and is listed as {step['prediction']}")
            elif name in ledger.latest and step["outcome"]["number"] < ledger.latest[name]:
                found.append(f"{name}: outcome {ledger.latest[name]} was acknowledged, {step['outcome']} is listed")
    return found


def _acknowledged(ledger: Ledger, known: dict[tuple[str, str], Session]) -> Iterator[str]:
    """Everything that was acknowledged is there, as it was answered, and was learned unless it was corrected before."""
    predictions = {Name(*session.name, plain(row.id)): row for session in known.values() for row in session.predictions}
    outcomes = {row.number: (session, row) for session in known.values() for row in session.outcomes}
    for name, body in ledger.predictions.items():
        row = predictions.get(name)
        if row is None:
            yield f"{name} was acknowledged, and is not there"
            continue
        kept = plain(row.content)["prediction"]
        if (row.step, kept.get("values"), row.created) != (body["t"], body["values"], body["created"]):
            yield f"{name} was answered with {body}, and kept as {row.content}"
    for number, (name, y, _) in ledger.outcomes.items():
        if number not in outcomes:
            yield f"outcome {number} of {name} was acknowledged, and is not there"
            continue
        session, row = outcomes[number]
        if session.name != (name.tenant, name.session) or plain(row.content) != y:
            yield f"outcome {number} of {name} was acknowledged as {y}, and is {row.content} of {session.name}"
        corrected = any(other.replaces == number for other in session.outcomes)
        if row.status != "learned" and not (row.status == "superseded" and corrected):
            yield f"outcome {number} of {name} was acknowledged, and is {row.status}: {row.result}"


def _memories(ledger: Ledger, known: dict[tuple[str, str], Session]) -> Iterator[str]:
    """Every memory that a person put there is in the history, as it was answered."""
    for tenant, name, body in ledger.memories:
        session = known[tenant, name]
        kept = [row for row in session.versions if row.revision == body["revision"]]
        if not kept or plain(kept[0].content)["memory"]["sections"] != body["sections"]:
            yield f"{session.name}: a memory was acknowledged as {body}, and is {kept}"


def _counted(session: Session) -> Iterator[str]:
    """Compare the session's own figures with its rows."""
    waiting = sum(row.status == "waiting" for row in session.predictions)
    due = sum(row.status == "waiting" for row in session.outcomes)
    # A fork counts on from the steps of what it was forked from.
    steps = max((row.step + 1 for row in session.predictions), default=session.row.steps)
    if (session.row.waiting, session.row.due, session.row.steps) != (waiting, due, steps):
        kept = (session.row.waiting, session.row.due, session.row.steps)
        yield f"waiting, due and steps are {kept}, and should be {(waiting, due, steps)}"
    numbers = [row.step for row in session.predictions]
    if numbers != list(range(session.row.steps - len(numbers), session.row.steps)):
        yield "its steps have gaps"
    learned = {row.step for row in session.learned}
    ended = {row.step for row in session.predictions if row.status == "learned"}
    if learned != ended:
        yield f"steps {sorted(learned ^ ended)} are learned by one table and not by another"


def _ordered(session: Session) -> Iterator[str]:
    """Each outcome was learned once, in the order of arrival."""
    revisions = [row.revision for row in session.learned]
    if len(set(revisions)) != len(revisions) or None in revisions:
        yield f"outcomes share a revision: {[one for one, often in Counter(revisions).items() if often > 1]}"
    numbers = [row.number for row in session.learned]
    if numbers != sorted(numbers):
        yield f"outcomes were learned in the order {numbers}"
    for step, often in Counter(row.step for row in session.learned if row.replaces is None).items():
        if often > 1:
            yield f"step {step} has {often} first outcomes"


def _history(session: Session) -> Iterator[str]:
    """Versions have rising numbers, and what was put back is what was there."""
    numbers = [row.version for row in session.versions]
    if numbers != sorted(set(numbers)):
        yield f"the versions have the numbers {numbers}"
    if session.versions and session.versions[-1].version != session.row.memory_version:
        yield f"version {session.row.memory_version} is present, and {session.versions[-1].version} is the last one"
    for at, row in enumerate(session.versions):
        entry = plain(row.content)
        if entry.get("reason", "").endswith("restored"):
            number = int(entry["reason"].split()[1])
            before = [plain(one.content)["memory"] for one in session.versions[:at] if one.version == number]
            if not before or before[-1]["sections"] != entry["memory"]["sections"]:
                yield f"{entry['reason']}, and it is another one"
    known = set(numbers)
    for row in session.predictions:
        version = read_waiting(row.content).memory_version
        if version not in known:
            yield f"step {row.step} was predicted with version {version}, which never was"


def _alone(session: Session) -> Iterator[str]:
    """Nothing of another tenant stands anywhere in it."""
    texts = [session.state, *(row.content for row in (*session.predictions, *session.outcomes, *session.versions))]
    texts += [row.asked or "" for row in session.predictions]
    others = {mark for text in texts for mark in MARK.findall(text)} - {session.tenant}
    if others:
        yield f"there is something of {others} in it"


def _scored(session: Session) -> Iterator[str]:
    """Compare the running sums with what the rows come to."""
    task = msgspec.json.decode(session.task, type=Task)
    made = {row.step: read_waiting(row.content).prediction for row in session.predictions}
    latest = {row.step: plain(row.content) for row in session.learned}
    total: Sums = {}
    blocks: dict[tuple[int, int], Sums] = {}
    for step, came in latest.items():
        change = scored(task, made[step], came)
        for sums in (total, *(blocks.setdefault((size, step // size), {}) for size in BLOCKS)):
            for name, (number, value) in change.items():
                before = sums.get(name, (0, 0.0))
                sums[name] = (before[0] + number, before[1] + value)
    if not _alike(read_sums(session.row.sums), total):
        yield f"the sums are {session.row.sums}, and should be {total}"
    kept = {(row.size, row.block): read_sums(row.content) for row in session.sums}
    if set(kept) != set(blocks) or not all(_alike(kept[block], sums) for block, sums in blocks.items()):
        yield f"the sums of blocks are {kept}, and should be {blocks}"


def _alike(one: Sums, other: Sums) -> bool:
    """Compare sums; the order of adding may show in their last digits."""
    return set(one) == set(other) and all(
        one[name][0] == other[name][0] and math.isclose(one[name][1], other[name][1], rel_tol=1e-6, abs_tol=1e-6)
        for name in one
    )


def _spent(tables: Tables) -> Iterator[str]:
    """Compare what a tenant used with what its sessions used."""
    used: dict[str, tuple[int, int, int]] = {}
    for session in tables.sessions:
        calls, read, written = used.get(session.tenant, (0, 0, 0))
        row = session.row
        used[session.tenant] = (calls + row.calls, read + row.prompt_tokens, written + row.completion_tokens)
    if used != tables.spent:
        yield f"tenants used {tables.spent}, and their sessions {used}"
