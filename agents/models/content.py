from django.db import models


class StoredContent(models.Model):
    """What was asked and answered in one request, encrypted; only where the server is set to store it."""

    id = models.UUIDField("ID", primary_key=True, help_text="The request's.")
    content = models.BinaryField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "stored prompt and answer"

    def __str__(self) -> str:
        return f"req_{self.id.hex}"
