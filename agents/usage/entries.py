"""What is entered into the ledger, and how a batch of it is written: runs that begin, and runs that have ended."""

import asyncio
from collections.abc import Sequence
from typing import Any

from django.db import connection
from msgspec import Struct

from agents.errors import AgentError, BudgetExceeded
from agents.limits import budgets
from agents.limits.budgets import Hold
from agents.limits.turns import own_turn
from agents.models import Status, UsageRecord, UsageStep
from agents.sql.driver import PLACE, execute_each, places
from agents.sql.statements import Columns, Insert
from agents.usage import content
from agents.usage.cleaning import Cleaner
from agents.usage.content import Conversation
from agents.usage.rollups import add_to_rollups, take_back_lost

IDENTITY = (
    "id",
    "started_at",
    "worker_id",
    "agent",
    "agent_name",
    "api_key",
    "api_key_name",
    "parent_id",
    "endpoint",
    "streamed",
)
ASKED = ("requested_model", "client_address", "user_agent", "end_user")
OPENING_FIELDS = [field for field in UsageRecord._meta.concrete_fields if field.name in (*IDENTITY, *ASKED)]
CLOSING_FIELDS = [field for field in UsageRecord._meta.concrete_fields if field not in OPENING_FIELDS]
CLOSING = Columns(CLOSING_FIELDS)
ID = UsageRecord._meta.pk
clean_opening, clean_closing = Cleaner(OPENING_FIELDS), Cleaner(CLOSING_FIELDS)
clean_step = Cleaner(UsageStep._meta.concrete_fields)
INSERT_RECORDS, INSERT_STEPS = Insert(UsageRecord), Insert(UsageStep)
STATUSES = f"SELECT id, status FROM {UsageRecord._meta.db_table} WHERE id IN"
CLOSE = (
    f"UPDATE {UsageRecord._meta.db_table} SET {', '.join(f'{name} = {PLACE}' for name in CLOSING.names)} "
    f"WHERE id = {PLACE}"
)
NOT_CLOSED = (Status.RUNNING, Status.LOST)


class Entry(Struct, eq=False):
    """A row to be opened (no steps) or closed, and the request that waits for it.

    `tries` counts failed commits; `failure` is what the request gets when the row cannot be written as it should be.
    """

    row: UsageRecord
    committed: asyncio.Future[None]
    steps: list[UsageStep] | None = None
    conversation: Conversation | None = None
    hold: Hold | None = None
    tries: int = 0
    failure: AgentError | None = None

    @property
    def opens(self) -> bool:
        return self.steps is None

    @property
    def refusal(self) -> BudgetExceeded | None:
        return self.hold.refusal if self.opens and self.hold is not None else None

    def clean(self) -> None:
        """Make the rows fit their columns; the fields of an opening row are cleaned before."""
        if self.steps is None:
            return
        clean_closing(self.row)
        for step in self.steps:
            clean_step(step)


def commit_entries(entries: Sequence[Entry]) -> None:
    """Write all of these rows, what they reserve or have used, and their sums, in one transaction."""
    for entry in entries:
        entry.clean()
    begun = [entry for entry in entries if entry.opens]
    with own_turn() as cursor:
        closed = _close_all(cursor, [entry for entry in entries if not entry.opens])
        budgets.enter(
            cursor,
            ended=[entry.hold for entry in closed if entry.hold is not None],
            begun=[entry.hold for entry in begun if entry.hold is not None],
        )
        INSERT_RECORDS(cursor, [entry.row for entry in begun if entry.refusal is None])
        INSERT_STEPS(cursor, [step for entry in closed for step in entry.steps or ()])
        if said := {entry.row.id: entry.conversation for entry in closed if entry.conversation is not None}:
            content.store(said)
        add_to_rollups(cursor, [entry.row for entry in closed])


def _close_all(cursor: Any, entries: Sequence[Entry]) -> list[Entry]:
    """Write the rows as they ended, and return the entries of those that had been opened and not been closed.

    Together: row by row, half of a batch's time is the way to PostgreSQL and back.
    """
    if not entries:
        return []
    ids = {ID.get_db_prep_save(entry.row.id, connection): entry for entry in entries}
    cursor.execute(f"{STATUSES} ({places(ids)})", [*ids])
    statuses = dict(cursor.fetchall())
    closed = {row_id: entry for row_id, entry in ids.items() if statuses.get(row_id) in NOT_CLOSED}
    for row_id, entry in closed.items():
        if statuses[row_id] == Status.LOST:
            # This process was taken for dead, for example because its machine slept, and is not.
            take_back_lost(UsageRecord.objects.get(pk=entry.row.id))
            if entry.hold is not None:
                entry.hold.charged = entry.hold.least
    execute_each(cursor, CLOSE, [[*CLOSING.of(entry.row), row_id] for row_id, entry in closed.items()])
    return [*closed.values()]
