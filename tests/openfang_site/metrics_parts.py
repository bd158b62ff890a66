"""What /metrics says, read as Prometheus reads it."""

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.live import Live
from tests.live.asking import TIMEOUT


class Figures:
    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in families for sample in family.samples]
        self.types = {family.name: family.type for family in families}
        self.text = text

    def of(self, name: str, **labels: str) -> float:
        """The sum of the values with these labels, among others."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def values(self, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.samples if label in sample.labels}

    def names(self) -> set[str]:
        """The names that a query may use, also of what has no value yet."""
        names = set()
        for line in self.text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
        return names


def figures(live: Live) -> Figures:
    response = httpx2.get(f"{live.url}/metrics", timeout=TIMEOUT, verify=False)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Figures(response.text)
