"""Whether agents that have the shell can use it, and what keeps its commands in."""

from collections.abc import Iterator

from agents.models import Agent
from agents.tools import sandbox
from openfang_site.checkup.finding import Finding, ok, problem, warning

ADVICE = (
    "Install bubblewrap 0.8 or later (apt install bubblewrap), or use a kernel with Landlock, Linux 6.12 or later: "
    "docs/security.md, Programs of the server's user."
)


def shell() -> Iterator[Finding]:
    agents = Agent.objects.filter(enabled=True).order_by("name").values_list("name", "tools")
    names = [name for name, tools in agents if "shell" in tools]
    if not names:
        return
    text = f"{', '.join(names)}: {sandbox.describe()}"
    if sandbox.are_commands_refused():
        yield problem("shell", text, ADVICE)
    elif sandbox.kind() is None:
        yield warning("shell", text, ADVICE)
    else:
        yield ok("shell", text)
