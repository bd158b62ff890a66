import uuid

from django.db import models
from django.utils import timezone


class Worker(models.Model):
    """A serving process and until when its rows count as alive; it renews its lease while it lives."""

    id = models.UUIDField("ID", primary_key=True, default=uuid.uuid4, editable=False)
    hostname = models.CharField(max_length=255)
    pid = models.PositiveIntegerField("PID")
    started_at = models.DateTimeField(default=timezone.now)
    lease_expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"
