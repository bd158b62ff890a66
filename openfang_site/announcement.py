"""What the administrator reads when the server is ready."""

from agents.management.base import program
from agents.setup import ADMIN
from agents.snapshot import Snapshot
from agents.types import AgentSpec

SHOWN = 20


def announcement(url: str, snapshot: Snapshot, *, password: str | None, public: bool) -> str:
    """Say where everything is; the password of the first administrator is told here and nowhere else."""
    lines = ["OpenFang is ready.", "", f"  Admin   {url}/admin/"]
    if password:
        lines.append(f"          user {ADMIN}, password {password}")
        lines.append(f"          (shown only now; to set another: {program()} passwd)")
    if public:
        lines.append("          (by the names in OPENFANG_ALLOWED_HOSTS)")
    keys = "no key needed on this machine" if snapshot.keyless else "a key is needed"
    lines += [f"  API     {url}/v1  ({keys})", *_agents(snapshot.agents), ""]
    if any(_is_embedded(agent) for agent in snapshot.agents):
        lines += [
            "The embedded model is small: for better answers, start with a provider's key, such as GROQ_API_KEY, set.",
            "",
        ]
    return "\n".join(lines)


def _agents(agents: list[AgentSpec]) -> list[str]:
    if not agents:
        return [f"  Agents  none; to make one: {program()} spawn assistant"]
    width = max(len(agent.name) for agent in agents[:SHOWN])
    rows = [f"{agent.name:{width}}  {_model(agent)}" for agent in agents[:SHOWN]]
    if len(agents) > SHOWN:
        rows.append(f"and {len(agents) - SHOWN} more: {program()} agents")
    return [f"  {'Agents' if row is rows[0] else '':6}  {row}" for row in rows]


def _model(agent: AgentSpec) -> str:
    if not agent.models:
        return "no model: set a provider's key, such as GROQ_API_KEY, and start again"
    model = agent.models[0]
    return f"{model.provider.name}/{model.name}"


def _is_embedded(agent: AgentSpec) -> bool:
    return bool(agent.models) and agent.models[0].provider.kind == "embedded"
