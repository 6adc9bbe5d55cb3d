"""Rows for tests: what a tenant may have, in the least that the tables take."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from llm_as_rnn.service.schema import outcomes, predictions, sessions, states, tasks, tenants, versions
from tests.service.using import read, write


def tenant_number(url: str, name: str) -> int:
    """Look up a tenant."""
    found = read(url, sa.select(tenants.c.number).where(tenants.c.name == name))[0][0]
    assert isinstance(found, int)
    return found


def add_session(url: str, tenant: str, number: int, content: str = "{}") -> None:
    """Give a tenant a session with one task, a state, a step with its outcome, and a memory."""
    owner = tenant_number(url, tenant)
    same: dict[str, Any] = {"content": content, "created": 1.0}
    session = {"number": number, "tenant": owner, "id": f"s{number}", "task": number, "changed": 1.0, "created": 1.0}
    write(
        url,
        sa.insert(tasks).values(number=number, tenant=owner, name=f"task{number}", version=1, **same),
        sa.insert(sessions).values(**session, method="recurrent", settings="{}", about=content),
        sa.insert(states).values(session=number, content=content),
        sa.insert(versions).values(session=number, revision=1, version=0, author="model", **same),
    )
    add_step(url, number, 0, "learned", 1.0, content=content)


def add_step(
    url: str, session: int, t: int, status: str, created: float, *told: dict[str, Any], content: str = "{}"
) -> None:
    """Give a session a step, with one learned outcome where none are described."""
    made = {"session": session, "step": t, "id": f'"p{t}"', "content": content, "status": status, "created": created}
    outcome = {"session": session, "step": t, "content": content, "status": "learned", "received": created}
    write(
        url, sa.insert(predictions).values(made), *(sa.insert(outcomes).values(outcome | one) for one in told or ({},))
    )
