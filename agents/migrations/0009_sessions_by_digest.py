from django.db import migrations


class Migration(migrations.Migration):
    """Delete the sessions that older versions stored with their keys: from now on the database has digests only."""

    dependencies = [("agents", "0008_exposed_variables"), ("sessions", "0001_initial")]

    operations = [migrations.RunSQL("DELETE FROM django_session", migrations.RunSQL.noop)]
