"""What runs leave behind so that they can be gone on with, and finding it again.

These functions use the database and run in the ledger's thread.
"""

import logging
from datetime import timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from msgspec import Struct, field

from agents.history import PastTurn
from agents.models import Status, Transcript, UsageRecord
from agents.models.encryption import InvalidToken, decrypt, encrypt
from agents.sql.driver import PLACE, driver_cursor
from agents.sql.rows import new_row
from agents.sql.statements import Insert
from agents.types import FinishReason, Usage

logger = logging.getLogger(__name__)

REPEAT = timedelta(minutes=5)
OPENING = timedelta(seconds=10)  # the longest that a request without a usage row may still be getting one
SAVE = Insert(Transcript, replaced=("agent_id", "scope", "body_digest", "idempotency_key", "content", "expires_at"))
EARLIER_RUN = (
    "SELECT r.status, r.worker_id, t.id, t.content "
    f"FROM {Transcript._meta.db_table} t LEFT JOIN {UsageRecord._meta.db_table} r ON r.id = t.id "
    f"WHERE t.id <> {PLACE} AND t.agent_id = {PLACE} AND t.scope = {PLACE} AND t.body_digest = {PLACE} "
    f"AND t.created_at > {PLACE} ORDER BY t.created_at DESC LIMIT 1"
)
RUN_ID, AGENT_ID = Transcript._meta.get_field("id"), Transcript._meta.get_field("agent_id")
CREATED_AT, WORKER_ID = Transcript._meta.get_field("created_at"), UsageRecord._meta.get_field("worker_id")
BROKEN = (Status.FAILED, Status.CANCELLED, Status.LOST)


class PastAnswer(Struct):
    """A finished run's answer, kept under an Idempotency-Key only."""

    text: str
    reasoning: str
    finish_reason: FinishReason
    usage: Usage


class PastRun(Struct):
    """What is known of a run: its turns with tool calls and, under an Idempotency-Key, its answer."""

    turns: list[PastTurn] = field(default_factory=list)
    answer: PastAnswer | None = None


class EarlierRun(Struct):
    """A run of the same request: how it stands, which worker has it, and the turns that it has left."""

    status: Status
    worker_id: UUID
    turns: list[PastTurn]

    @property
    def broke(self) -> bool:
        return self.status in BROKEN


class Origin(Struct, frozen=True):
    """Whose a run is, and which request began it."""

    run_id: UUID
    agent_id: UUID
    scope: str
    body_digest: str
    idempotency_key: str


def save(origin: Origin, run: PastRun) -> None:
    """Keep what is known of a run; does nothing where the server is set to keep nothing."""
    if not settings.OPENFANG_TRANSCRIPT_HOURS:
        return
    now = timezone.now()
    row = new_row(
        Transcript,
        id=origin.run_id,
        agent_id=origin.agent_id,
        scope=origin.scope,
        body_digest=origin.body_digest,
        idempotency_key=origin.idempotency_key,
        content=encrypt(msgspec.json.encode(run)),
        created_at=now,
        expires_at=now + timedelta(hours=settings.OPENFANG_TRANSCRIPT_HOURS),
    )
    with driver_cursor() as cursor:
        SAVE(cursor, [row])


def claim(origin: Origin) -> UUID | None:
    """Enter a request with an Idempotency-Key as the one of its key; else return the run that has the key."""
    same_key = Transcript.objects.filter(scope=origin.scope, idempotency_key=origin.idempotency_key)
    try:
        with transaction.atomic():
            same_key.filter(expires_at__lte=timezone.now()).delete()
            save(origin, PastRun())
    except IntegrityError:
        return same_key.values_list("id", flat=True).first()
    return None


def runs_of(run_ids: set[UUID], agent_id: UUID, scope: str) -> dict[UUID, list[PastTurn]]:
    """Return the turns of runs that are this caller's with this agent; of others nothing is told."""
    rows = Transcript.objects.filter(id__in=run_ids, agent_id=agent_id, scope=scope, expires_at__gt=timezone.now())
    return {row.id: run.turns for row in rows if (run := _read(row.id, row.content)) is not None and run.turns}


def earlier_run(origin: Origin) -> EarlierRun | None:
    """Return the latest run of the same body by the same caller within the last minutes, if it has left anything."""
    run_id = RUN_ID.get_db_prep_save(origin.run_id, connection)
    agent_id = AGENT_ID.get_db_prep_save(origin.agent_id, connection)
    since = CREATED_AT.get_db_prep_save(timezone.now() - REPEAT, connection)
    with driver_cursor() as cursor:
        cursor.execute(EARLIER_RUN, [run_id, agent_id, origin.scope, origin.body_digest, since])
        found = cursor.fetchone()
    if found is None or found[0] is None:
        return None
    status, worker_id, earlier_id, content = found
    run = _read(earlier_id, content)
    return None if run is None else EarlierRun(Status(status), WORKER_ID.to_python(worker_id), run.turns)


def run_under_key(run_id: UUID, origin: Origin) -> tuple[Status, PastRun, bool] | None:
    """Return how the run that has an Idempotency-Key stands, what is known of it, and whether its body was the same."""
    row = Transcript.objects.filter(id=run_id, scope=origin.scope).first()
    status = UsageRecord.objects.filter(id=run_id).values_list("status", flat=True).first()
    if row is None or (run := _read(row.id, row.content)) is None:
        return None
    if status is None and row.created_at < timezone.now() - OPENING:
        status = Status.LOST
    same = row.body_digest == origin.body_digest and row.agent_id == origin.agent_id
    return Status(status or Status.RUNNING), run, same


def take_over(holder: UUID, origin: Origin, turns: list[PastTurn]) -> bool:
    """Pass the Idempotency-Key of a run that broke, and its turns, on to a run; false if another was faster."""
    with transaction.atomic():
        if not Transcript.objects.filter(id=holder, idempotency_key=origin.idempotency_key).update(idempotency_key=""):
            return False
        save(origin, PastRun(turns))
    return True


def _read(run_id: UUID, content: bytes | memoryview) -> PastRun | None:
    try:
        return msgspec.json.decode(decrypt(bytes(content)), type=PastRun)
    except InvalidToken:
        logger.warning("The transcript of run %s was kept under another secret key and cannot be read.", run_id)
        return None
