from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agents", "0006_one_index_for_each_question")]

    operations = [
        # The index by status finds what is running, too.
        migrations.RemoveIndex(model_name="usagerecord", name="usage_running"),
    ]
