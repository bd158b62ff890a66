from django.db import migrations, models

ERROR_TEXT = models.CharField(
    blank=True, db_default="", default="", help_text="Why the call failed.", max_length=500, verbose_name="error"
)


class Migration(migrations.Migration):
    dependencies = [("agents", "0011_quarantine")]

    operations = [
        migrations.SeparateDatabaseAndState(
            # By hand: for a column that is not null, Django copies the whole table on SQLite.
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE agents_usagestep ADD COLUMN error_text varchar(500) DEFAULT '' NOT NULL",
                    "ALTER TABLE agents_usagestep DROP COLUMN error_text",
                )
            ],
            state_operations=[migrations.AddField("usagestep", "error_text", ERROR_TEXT)],
        ),
        migrations.AddField(
            "usagestep",
            "http_status",
            models.PositiveSmallIntegerField(
                blank=True, help_text="The provider's. Empty: it sent none.", null=True, verbose_name="HTTP status"
            ),
        ),
        migrations.AddField(
            "usagestep",
            "attempt",
            models.PositiveSmallIntegerField(
                blank=True,
                help_text="Which call for one answer this is, over retries and fallback models.",
                null=True,
            ),
        ),
        migrations.AddField(
            "usagestep",
            "backoff_ms",
            models.PositiveIntegerField(
                blank=True,
                help_text="The pause before the same model was asked again.",
                null=True,
                verbose_name="back-off (ms)",
            ),
        ),
    ]
