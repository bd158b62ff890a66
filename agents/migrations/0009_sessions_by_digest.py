import logging

from django.db import migrations
from django.utils import timezone

logger = logging.getLogger("agents.setup")


def end_sessions(apps, schema_editor):
    """Delete the sessions that older versions stored with their keys: from now on the database has digests only."""
    sessions = apps.get_model("sessions", "Session").objects
    if count := sessions.filter(expire_date__gt=timezone.now()).count():
        ended = f"{count} session{'s' * (count != 1)}"
        logger.warning("The upgrade has ended %s of the web admin: people sign in once more.", ended)
    sessions.all().delete()


class Migration(migrations.Migration):
    dependencies = [("agents", "0008_exposed_variables"), ("sessions", "0001_initial")]

    operations = [migrations.RunPython(end_sessions, migrations.RunPython.noop)]
