from typing import Any

from django.conf import settings
from django.core.management import CommandError

from agents.management.base import OpenFangCommand


class Command(OpenFangCommand):
    help = (
        "List the packages that are installed here as a bill of materials, in CycloneDX 1.6: with versions, package "
        "URLs, licences, what needs what, and the hashes that the lock files have."
    )
    examples = ("sbom > openfang.cdx.json",)

    def handle(self, **options: Any) -> None:
        from openfang_site.supply_chain.bom import bill_of_materials, without_hashes  # noqa: PLC0415

        try:
            bill = bill_of_materials(settings.BASE_DIR)
        except ValueError as error:
            raise CommandError(f"{error}. To write the lock files: ./openfang lock") from None
        self.write_json(bill)
        if unlocked := without_hashes(bill):
            self.explain(f"openfang: no lock file has {', '.join(unlocked)}: listed without hashes.")
