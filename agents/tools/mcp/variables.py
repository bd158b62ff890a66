import os

from agents.models.mcp import VARIABLE
from agents.tools.mcp.errors import McpServerUnavailable


class Variables:
    """Puts environment variables where `${NAME}` stands for them, and knows which texts must not be shown since."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def filled_in(self, text: str) -> str:
        return VARIABLE.sub(lambda found: self.value(found[1]), text)

    def value(self, name: str) -> str:
        value = os.environ.get(name, "").strip()
        if not value:
            raise McpServerUnavailable(f"The environment variable {name} of an MCP server is not set.")
        self._names[value] = name
        return value

    def hidden(self, text: str) -> str:
        """Return the text with the names of the variables in place of their values."""
        for value, name in self._names.items():
            text = text.replace(value, f"${{{name}}}")
        return text
