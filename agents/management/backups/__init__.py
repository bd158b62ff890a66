"""A server in one file: its database, the secret key that opens what is encrypted there, and the agents' workspaces."""

from agents.management.backups.making import make_backup
from agents.management.backups.restoring import restore_backup, schema_of

__all__ = ["make_backup", "restore_backup", "schema_of"]
