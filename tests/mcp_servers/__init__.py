"""MCP servers that the tests start, as programs and over HTTP."""
