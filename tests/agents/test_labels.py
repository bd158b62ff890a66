"""What people read of the tables' columns in the admin and in the audit log."""

from django.apps import apps

ABBREVIATIONS = {"api", "http", "id", "llm", "mcp", "pid", "url"}


def test_abbreviations_are_written_as_such() -> None:
    labels = {
        f"{table.__name__}.{column.name}": str(column.verbose_name)
        for table in apps.get_app_config("agents").get_models()
        for column in table._meta.concrete_fields
        if "history_" not in column.name
    }
    assert labels["Provider.base_url"] == "base URL"
    assert {name: label for name, label in labels.items() if ABBREVIATIONS & set(label.split())} == {}
