"""Who serves: the leases of serving processes, and what becomes of the rows of those that died."""

import os
import socket
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from agents.limits import periods
from agents.limits.turns import own_turn
from agents.models import Status, UsageRecord, Worker
from agents.usage.rollups import add_to_rollups

LEASE = timedelta(seconds=20)
RENEW_SECONDS = 5.0


def register() -> UUID:
    """Enter this process among the workers and return its id; rows of workers that are gone are marked lost."""
    hostname = socket.gethostname()
    worker = Worker.objects.create(hostname=hostname, pid=os.getpid(), lease_expires_at=timezone.now() + LEASE)
    for other in Worker.objects.filter(hostname=hostname).exclude(pk=worker.pk):
        if other.pid == worker.pid or not is_alive(other.pid):
            Worker.objects.filter(pk=other.pk).delete()
    mark_lost()
    return worker.pk


def renew(worker_id: UUID) -> None:
    """Keep this process's rows alive for another while.

    One short statement, which waits for no other writer of usage: on PostgreSQL they share a lock that this one skips.
    """
    expires = timezone.now() + LEASE
    if not Worker.objects.filter(pk=worker_id).update(lease_expires_at=expires):
        own = {"hostname": socket.gethostname(), "pid": os.getpid()}
        Worker.objects.create(pk=worker_id, lease_expires_at=expires, **own)


def reap() -> None:
    """Mark the rows of workers as lost whose lease has expired."""
    expired = Worker.objects.filter(lease_expires_at__lt=timezone.now())
    if expired.exists():
        with own_turn():
            expired.delete()
    mark_lost()


def leave(worker_id: UUID) -> None:
    Worker.objects.filter(pk=worker_id).delete()
    mark_lost()


def bury(pid: int) -> int:
    """Take a process of this machine that has died from the workers, and return how many of its rows were lost."""
    Worker.objects.filter(hostname=socket.gethostname(), pid=pid).delete()
    return mark_lost()


def mark_lost() -> int:
    """Mark the running rows of dead workers as lost, and return how many there were.

    A lost row keeps what its opening row says: the estimate of the prompt that the provider may have received.
    """
    with own_turn() as cursor:
        orphans = UsageRecord.objects.filter(status=Status.RUNNING).exclude(worker_id__in=Worker.objects.values("pk"))
        rows = list(orphans.select_for_update()) if orphans.exists() else []
        for row in rows:
            row.status, row.ended_at, row.error_code = Status.LOST, timezone.now(), "server_lost"
        UsageRecord.objects.bulk_update(rows, ["status", "ended_at", "error_code"], batch_size=200)
        add_to_rollups(cursor, rows)
        periods.settle_lost(cursor, {row.id: row.cost is None for row in rows})
    return len(rows)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
