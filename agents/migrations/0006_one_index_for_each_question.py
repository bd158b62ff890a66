import django.db.models.deletion
from django.db import migrations, models

# Django's own indexes of foreign keys, of which each is the beginning of another index of the same table.
REPEATED = (
    ("agents_usagerecord_agent_id_bd3d1b73", "agents_usagerecord", "agent_id"),
    ("agents_usagerecord_api_key_id_27113239", "agents_usagerecord", "api_key_id"),
    ("agents_usagestep_record_id_88368023", "agents_usagestep", "record_id"),
)


class Migration(migrations.Migration):
    dependencies = [("agents", "0005_labels")]

    operations = [
        migrations.SeparateDatabaseAndState(
            # By name: to alter a field, Django copies the whole table on SQLite.
            database_operations=[
                migrations.RunSQL(f"DROP INDEX IF EXISTS {index}", f"CREATE INDEX {index} ON {table} ({column})")
                for index, table, column in REPEATED
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="usagerecord",
                    name="agent",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="usage",
                        to="agents.agent",
                    ),
                ),
                migrations.AlterField(
                    model_name="usagerecord",
                    name="api_key",
                    field=models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="usage",
                        to="agents.apikey",
                        verbose_name="API key",
                    ),
                ),
                migrations.AlterField(
                    model_name="usagerecord",
                    name="end_user",
                    field=models.CharField(blank=True, help_text="Whom the client named in user.", max_length=200),
                ),
                migrations.AlterField(
                    model_name="usagestep",
                    name="record",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="steps",
                        to="agents.usagerecord",
                    ),
                ),
            ],
        ),
    ]
