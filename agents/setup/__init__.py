"""Setting a server up: the database, the rows of the catalog, the first administrator, and agents from profiles."""

from agents.setup.catalog_rows import sync_catalog
from agents.setup.copying import copy_of, free_name
from agents.setup.database import one_at_a_time, prepare, reach
from agents.setup.errors import SetupError
from agents.setup.first_start import ADMIN, first_start, generated_password
from agents.setup.roles import make_roles
from agents.setup.spawning import find_model, spawn

__all__ = [
    "ADMIN",
    "SetupError",
    "copy_of",
    "find_model",
    "first_start",
    "free_name",
    "generated_password",
    "make_roles",
    "one_at_a_time",
    "prepare",
    "reach",
    "spawn",
    "sync_catalog",
]
