"""What a new server begins with: an administrator and an agent."""

import secrets

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from agents.models import Agent
from agents.models.api_key import ALPHABET
from agents.profiles import load_profile
from agents.setup.database import one_at_a_time
from agents.setup.spawning import spawn

ADMIN = "admin"
FIRST_AGENT = "assistant"


def generated_password() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(16))


def first_start() -> str | None:
    """Make the first administrator and the first agent, and return the password if the settings do not name it.

    Does nothing on a server in use.

    An administrator is what tells a server in use: an agent is deleted by one, so a deleted agent never comes back.
    """
    with one_at_a_time(), transaction.atomic():
        if User.objects.filter(is_superuser=True).exists():
            return None
        password = settings.OPENFANG_ADMIN_PASSWORD or generated_password()
        admin, _ = User.objects.get_or_create(username=ADMIN)
        admin.is_superuser = admin.is_staff = admin.is_active = True
        admin.set_password(password)
        admin.save()
        if not Agent.objects.exists():
            spawn(FIRST_AGENT, load_profile(FIRST_AGENT))
        return None if settings.OPENFANG_ADMIN_PASSWORD else password
