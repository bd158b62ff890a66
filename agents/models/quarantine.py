from django.db import models


class QuarantinedEntry(models.Model):
    """The texts of a request that the database refused, encrypted. Its usage row was written without them.

    `openfang quarantine` lists them, tries to write them again, and drops them.
    """

    id = models.UUIDField("ID", primary_key=True, help_text="The request's.")
    reason = models.CharField(max_length=200, help_text="What the database said.")
    content = models.BinaryField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "quarantined entry"
        verbose_name_plural = "quarantined entries"

    def __str__(self) -> str:
        return f"req_{self.id.hex}"
