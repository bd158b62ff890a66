"""A context for the tools that touch the workspace, and a way to call a tool as the loop does."""

import json
import uuid
from pathlib import Path
from typing import Any

from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.types import AgentSpec


class Caller:
    """Calls tools in a workspace of its own, beside a folder that is none of the agent's business."""

    def __init__(self, folder: Path) -> None:
        agent = AgentSpec(uuid.uuid4(), "coder", "", 0, "", ())
        self.workspace = folder / str(agent.id)
        self.workspace.mkdir()
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.secret = self.outside / "secret.txt"
        self.secret.write_text("THE SECRET\n")
        self.context = RunContext(agent=agent, scope="test", workspaces=folder, deadline=0, depth=0, ask_agent=_nobody)

    async def call(self, tool: FunctionTool, **arguments: Any) -> str:
        return await tool.call(self.context, json.dumps(arguments))


async def _nobody(name: str, question: str) -> str:
    raise AssertionError("no file tool asks another agent")
