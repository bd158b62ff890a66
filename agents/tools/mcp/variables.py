from agents.exposed_variables import exposed_value, why_withheld
from agents.models.mcp import VARIABLE
from agents.tools.mcp.errors import McpServerUnavailable
from agents.urls import fits_a_header


class Variables:
    """Fills in `${NAME}` for one server, and remembers which texts must not be shown since."""

    def __init__(self, server: str, url: str = "") -> None:
        self._server, self._url = server, url
        self._names: dict[str, str] = {}

    def filled_in(self, text: str) -> str:
        return VARIABLE.sub(lambda found: self._sendable(found[1]), text)

    def _sendable(self, name: str) -> str:
        value = self.value(name)
        if not fits_a_header(value):
            raise McpServerUnavailable(f"{name} of an MCP server has a character that no header can carry.")
        return value

    def value(self, name: str) -> str:
        if reason := why_withheld(name, self._url):
            what = f"The MCP server {self._server!r} may not use the environment variable {name}."
            raise McpServerUnavailable(what, detail=reason)
        value = exposed_value(name, self._url)
        if value is None:
            raise McpServerUnavailable(f"The environment variable {name} of an MCP server is not set.")
        self._names[value] = name
        return value

    def hidden(self, text: str) -> str:
        """Return the text with the names of the variables in place of their values."""
        for value, name in self._names.items():
            text = text.replace(value, f"${{{name}}}")
        return text
