from django.db import models


class Transcript(models.Model):
    """The tool calls and results of a run, kept encrypted for a day, so that the run can be gone on with.

    A client's tool results, a repeated request and a history with executed calls all come back to it. `id` is that of
    the run; `scope` names the caller, and nobody else is shown it. Under an `Idempotency-Key` the answer is kept, too.
    """

    id = models.UUIDField("ID", primary_key=True)
    agent_id = models.UUIDField("agent ID")
    scope = models.CharField(max_length=120)
    body_digest = models.CharField(max_length=64, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    content = models.BinaryField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["scope", "body_digest", "-created_at"], name="transcript_by_body")]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="an_idempotency_key_once_per_caller",
            )
        ]

    def __str__(self) -> str:
        return str(self.id)
