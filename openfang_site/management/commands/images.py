from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand, table


class Command(OpenFangCommand):
    help = (
        "Pin the images of docker compose: ask each image's registry which digest its tag has, and write it behind the "
        "tag. Docker then runs that very image until this command is run again, even if the tag moves."
    )
    examples = ("images pin", "images pin --check", "images pin --file compose.override.yml")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["pin"])
        parser.add_argument("--check", action="store_true", help="write nothing; fail if a digest would change")
        parser.add_argument(
            "--file", action="append", type=Path, help="a file that names images, instead of this copy's; repeatable"
        )
        parser.add_argument("--mirror", metavar="URL", help="a registry to ask in place of Docker Hub")

    def handle(self, *, check: bool, file: list[Path] | None, mirror: str | None, **options: Any) -> None:
        from openfang_site.supply_chain import images  # noqa: PLC0415 -- with an HTTP client, 0.1 s
        from openfang_site.supply_chain.registry import Registry, RegistryError  # noqa: PLC0415

        files = file or [path for name in images.FILES if (path := settings.BASE_DIR / name).exists()]
        if not files:
            raise CommandError(
                "There is no docker-compose.yml here. Run it in a clone of the repository, or use --file."
            )
        registry = Registry(mirror)
        try:
            changes, count = images.pin(files, registry.digest, write=not check)
        except RegistryError as error:
            raise CommandError(f"{error} Nothing was changed.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"A file cannot be read or written: {error}") from None
        finally:
            registry.close()
        if changes:
            rows = [[change.file, change.image, change.before or "-", change.after] for change in changes]
            self.stdout.write(table(["FILE", "IMAGE", "WAS", "IS"], rows))
        if changes and check:
            raise CommandError(f"Not pinned to what the registries have now: {len(changes)} of {count} images.")
        if not changes:
            self.stdout.write(f"All {count} images are pinned to what their registries have now.")
