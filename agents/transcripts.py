"""What runs leave behind so that they can be gone on with, and finding it again.

These functions use the database and run in the ledger's thread.
"""

import logging
from datetime import timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import F
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
SAVE = Insert(Transcript, replaced=("content", "expires_at"))
# The latest under each digest, in the index's order: sorting all repeats of a busy request cost more than its run.
_LATEST = (
    f"SELECT id, agent_id, created_at FROM {Transcript._meta.db_table} "
    f"WHERE scope = {PLACE} AND body_digest = {PLACE} AND created_at > {PLACE} ORDER BY created_at DESC LIMIT 16"
)
EARLIER_RUNS = (
    "SELECT r.status, r.worker_id, t.id "
    f"FROM (SELECT * FROM ({_LATEST}) AS recent UNION ALL SELECT * FROM ({_LATEST}) AS older) AS t "
    f"JOIN {UsageRecord._meta.db_table} r ON r.id = t.id "
    f"WHERE t.id <> {PLACE} AND t.agent_id = {PLACE} ORDER BY t.created_at DESC"
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
    """What is known of a run: its turns with tool calls and, under an Idempotency-Key, its answer.

    `taken` are the broken runs that it took turns over from; once it has `ended` well, no other does.
    """

    turns: list[PastTurn] = field(default_factory=list)
    answer: PastAnswer | None = None
    taken: list[UUID] = field(default_factory=list)
    ended: bool = False


class EarlierRuns(Struct):
    """The recent runs of a request, latest first, and those of them that broke; the workers that others run on."""

    all: list[UUID]
    broken: list[UUID]
    running_on: set[UUID]

    def running_beside(self, worker_id: UUID) -> bool:
        """Return whether one runs on another worker than this."""
        return bool(self.running_on - {worker_id})


class Origin(Struct, frozen=True):
    """Whose a run is, and which request began it. `old_digest` is what servers of earlier versions know it by."""

    run_id: UUID
    agent_id: UUID
    scope: str
    body_digest: str
    idempotency_key: str
    old_digest: str = ""

    @property
    def digests(self) -> tuple[str, str]:
        return self.body_digest, self.old_digest or self.body_digest

    @property
    def request(self) -> tuple[UUID, str, str]:
        """What the repeats of a request have in common."""
        return self.agent_id, self.scope, self.body_digest


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
    if run.ended and run.taken:
        # The time in which repeats take these over is past. Their turns are kept for histories.
        Transcript.objects.filter(id__in=run.taken).update(created_at=F("created_at") - REPEAT)


def runs_of(run_ids: set[UUID], agent_id: UUID, scope: str) -> dict[UUID, list[PastTurn]]:
    """Return the turns of runs that are this caller's with this agent; of others nothing is told."""
    rows = Transcript.objects.filter(id__in=run_ids, agent_id=agent_id, scope=scope, expires_at__gt=timezone.now())
    return {row.id: run.turns for row in rows if (run := decoded(row.id, row.content)) is not None and run.turns}


def earlier_runs(origin: Origin) -> EarlierRuns:
    """Return the runs of the same request by the same caller within the last minutes that left something."""
    run_id = RUN_ID.get_db_prep_save(origin.run_id, connection)
    agent_id = AGENT_ID.get_db_prep_save(origin.agent_id, connection)
    since = CREATED_AT.get_db_prep_save(timezone.now() - REPEAT, connection)
    with driver_cursor() as cursor:
        latest = [value for digest in origin.digests for value in (origin.scope, digest, since)]
        cursor.execute(EARLIER_RUNS, [*latest, run_id, agent_id])
        rows = cursor.fetchall()
    runs = [(status, WORKER_ID.to_python(worker_id), RUN_ID.to_python(found)) for status, worker_id, found in rows]
    return EarlierRuns(
        [run for _, _, run in runs],
        [run for status, _, run in runs if status in BROKEN],
        {worker for status, worker, _ in runs if status == Status.RUNNING},
    )


def left_by(run_id: UUID, others: list[UUID]) -> PastRun | None:
    """Return what a run left; calls that it had not finished have the results of other runs that made the same."""
    run = _read(run_id)
    if run is not None and not all(turn.complete for turn in run.turns):
        known = [other for other_id in others if (other := _read(other_id)) is not None]
        results = {call: result for other in known for turn in other.turns for call, result in turn.results.items()}
        for turn in run.turns:
            turn.results |= {call: results[call] for call in turn.executed if call in results} | turn.results
    return run


def _read(run_id: UUID) -> PastRun | None:
    row = Transcript.objects.filter(id=run_id).first()
    return None if row is None else decoded(run_id, row.content)


def decoded(run_id: UUID, content: bytes | memoryview) -> PastRun | None:
    """Return a transcript's content, if it was encrypted under a secret key that the server still has."""
    try:
        return msgspec.json.decode(decrypt(bytes(content)), type=PastRun)
    except InvalidToken:
        logger.warning("The transcript of run %s was kept under another secret key and cannot be read.", run_id)
        return None
