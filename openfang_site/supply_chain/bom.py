"""A bill of materials of this installation, in CycloneDX 1.6: https://cyclonedx.org/docs/1.6/json/."""

import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from uuid import uuid4

from agents import __version__
from openfang_site.supply_chain import locks

LICENCE_CLASSIFIER = "License :: OSI Approved :: "
LONGEST_NAME = 100  # some packages put the whole text of their licence where its name belongs
DEPENDENCY = re.compile(r"[A-Za-z0-9][\w.-]*")

Component = dict[str, Any]


def bill_of_materials(root: Path) -> dict[str, Any]:
    """Describe the packages of this environment; their hashes come from the lock files below `root`."""
    packages = {locks.canonical(package.name): package for package in distributions()}
    packages.pop("openfang-django", None)  # it is what the bill is about
    hashes = _locked_hashes(root)
    application = {
        "type": "application",
        "bom-ref": "openfang",
        "name": "openfang-django",
        "version": __version__,
        "licenses": [{"expression": "Apache-2.0"}],
    }
    python = f"pkg:generic/python@{platform.python_version()}"
    interpreter = {
        "type": "platform",
        "bom-ref": python,
        "name": platform.python_implementation(),
        "version": platform.python_version(),
        "purl": python,
    }
    refs = {name: _purl(name, packages[name].version) for name in sorted(packages)}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "tools": {"components": [{"type": "application", "name": "openfang sbom", "version": __version__}]},
            "component": application,
        },
        "components": [interpreter, *(_component(name, packages[name], hashes) for name in refs)],
        "dependencies": [
            {"ref": "openfang", "dependsOn": [python, *(refs[name] for name in _declared(root) if name in refs)]},
            *({"ref": refs[name], "dependsOn": _needs(packages[name], refs)} for name in refs),
        ],
    }


def without_hashes(bill: Mapping[str, Any]) -> list[str]:
    """Return the packages that no lock file has in the version that is installed."""
    return [
        f"{component['name']} {component['version']}"
        for component in bill["components"]
        if component["type"] == "library" and "hashes" not in component
    ]


def _component(name: str, package: Distribution, hashes: Mapping[tuple[str, str], list[str]]) -> Component:
    purl = _purl(name, package.version)
    component: Component = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    }
    if licences := _licences(package):
        component["licenses"] = licences
    if found := hashes.get((name, package.version)):
        # Those of every file of this version, as pip does not keep which of them it installed from.
        component["hashes"] = [{"alg": "SHA-256", "content": digest} for digest in found]
    return component


def _licences(package: Distribution) -> list[dict[str, Any]]:
    """Return a package's licence as its author wrote it: as an SPDX expression, a classifier or a short name."""
    fields = package.metadata.get_all
    if expressions := fields("License-Expression"):
        return [{"expression": expressions[0]}]
    classifiers = [
        line.removeprefix(LICENCE_CLASSIFIER)
        for line in fields("Classifier") or ()
        if line.startswith(LICENCE_CLASSIFIER)
    ]
    names = classifiers or [text for text in fields("License") or () if "\n" not in text and len(text) <= LONGEST_NAME]
    return [{"license": {"name": name.strip()}} for name in names if name.strip()]


def _needs(package: Distribution, refs: Mapping[str, str]) -> list[str]:
    """Return the installed packages that a package requires, its optional ones included."""
    names = {
        locks.canonical(found[0]) for line in package.requires or () if (found := DEPENDENCY.match(line)) is not None
    }
    return sorted(refs[name] for name in names if name in refs)


def _declared(root: Path) -> list[str]:
    """Return what the server itself requires; an image has the lock files alone, and there it is all that they name."""
    requirements = root / "requirements.txt"
    if requirements.exists():
        return sorted({name for name, _ in locks.required(requirements)})
    lock = root / "requirements.lock"
    return sorted({pin.name for pin in locks.read_lock(lock)}) if lock.exists() else []


def _locked_hashes(root: Path) -> dict[tuple[str, str], list[str]]:
    return {
        (pin.name, pin.version): sorted(pin.hashes)
        for requirements in locks.REQUIREMENTS
        if (lock := root / locks.lock_of(requirements)).exists()
        for pin in locks.read_lock(lock)
    }


def _purl(name: str, version: str) -> str:
    """Return a package URL; the rules for PyPI want the canonical name."""
    return f"pkg:pypi/{name}@{version.replace('+', '%2B').replace('!', '%21')}"
