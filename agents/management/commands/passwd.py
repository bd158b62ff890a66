import getpass
import sys
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand
from agents.setup import ADMIN, first_start, generated_password, prepare


class Command(OpenFangCommand):
    help = "Set a new password for the web admin: asks for one on a terminal, makes one elsewhere."
    examples = ("passwd", "passwd --generate")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", default=ADMIN, metavar="USER", help=f"whose (default: {ADMIN})")
        parser.add_argument("--generate", action="store_true", help="make a password and print it")

    def handle(self, *, user: str, generate: bool, **options: Any) -> None:
        prepare()
        first_start()
        account = find_user(user)
        generate = generate or not sys.stdin.isatty()
        password = generated_password() if generate else ask(account)
        account.set_password(password)
        account.save()
        if generate:
            self.explain(f"The new password of {user}, which is not shown again:")
            self.stdout.write(password)
        else:
            self.stdout.write(f"{user} has a new password.")


def find_user(name: str) -> User:
    """Return the user; the administrator of the first start is made again if it is gone."""
    users = User.objects
    user = users.filter(username=name).first()
    if user is not None:
        return user
    if name != ADMIN:
        names = ", ".join(users.order_by("username").values_list("username", flat=True))
        raise CommandError(f"There is no user {name!r}. Users: {names}.")
    return users.create_superuser(username=name, email="", password=None)


def ask(user: User) -> str:
    """Ask twice for a password that the project's rules take."""
    password = getpass.getpass(f"New password for {user.get_username()}: ")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    if getpass.getpass("Once more: ") != password:
        raise CommandError("The two passwords differ; nothing was changed.")
    return password
