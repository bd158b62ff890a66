from agents.errors import ToolFailed


class McpServerUnavailable(ToolFailed):
    """An MCP server cannot be reached, or was lost; `detail` is what its program said last, for administrators."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class McpSessionExpired(McpServerUnavailable):
    """The server no longer knows the session and has not run the call: a new session can."""
