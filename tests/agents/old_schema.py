"""Databases as older versions made them.

`python -m tests.agents.old_schema ROWS`: as the first version did, with so many usage rows.
`python -m tests.agents.old_schema --rows-that-stop`: as the version before did, with rows that this one does not serve.
"""

import os
import sys
import uuid

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")

import django

FIRST = ("agents", "0001_initial")
VERSION_BEFORE = ("agents", "0007_running_by_status")


def fill(rows: int) -> None:
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor
    from django.utils import timezone

    for place in (["auth"], FIRST):
        call_command("migrate", *place, verbosity=0)
    apps = MigrationExecutor(connection).loader.project_state([FIRST]).apps
    agent = apps.get_model("agents", "Agent").objects.create(name="coder")
    requests = apps.get_model("agents", "UsageRecord")
    first = requests.objects.create(
        worker_id=uuid.uuid4(),
        agent_id=agent.pk,
        agent_name="coder",
        status="ok",
        started_at=timezone.now(),
        prompt_tokens=7,
    )
    table, columns = requests._meta.db_table, [field.column for field in requests._meta.concrete_fields]
    copied = [connection.ops.quote_name(column) for column in columns if column != "id"]
    new_id, numbers = (
        ("lower(hex(randomblob(16)))", "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %s)")
        if connection.vendor == "sqlite"
        else ("gen_random_uuid()", "WITH n(i) AS (SELECT generate_series(2, %s))")
    )
    # By the database itself, which takes a second for what would take the ORM a minute.
    with connection.cursor() as cursor:
        cursor.execute(
            f"{numbers} INSERT INTO {table} (id, {', '.join(copied)}) "
            f"SELECT {new_id}, {', '.join(copied)} FROM {table}, n WHERE id = %s",
            [rows, first.pk.hex if connection.vendor == "sqlite" else first.pk],
        )
    assert requests.objects.count() == rows


def make_rows_that_stop() -> None:
    django.setup()
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    for place in (["auth"], ["sessions"], VERSION_BEFORE):
        call_command("migrate", *place, verbosity=0)
    apps = MigrationExecutor(connection).loader.project_state([VERSION_BEFORE]).apps
    apps.get_model("agents", "Provider").objects.create(
        name="lab", kind="openai", base_url="http://lab:8000/v1", api_key_env="LAB_KEY"
    )
    apps.get_model("agents", "McpServer").objects.create(
        name="search", url="https://mcp.example.com/mcp", headers={"Authorization": "Bearer ${SEARCH_TOKEN}"}
    )
    apps.get_model("agents", "Agent").objects.create(name="ops", tools=["shell"])
    session = SessionStore()
    session["_auth_user_id"] = "1"
    session.save()


if __name__ == "__main__":
    make_rows_that_stop() if sys.argv[1] == "--rows-that-stop" else fill(int(sys.argv[1]))
