"""Tools of MCP servers: the rows an administrator made, as tools of an agent's run.

specs       what the rows say, frozen
pool        the servers that this process is connected to, and what is done about those that fail
session     one connection, from opening to closing
connection  the same in the library's terms
refresh     reading a server's list of tools into its row
lenient     what a server sends, mended before the library reads it: bad members cost themselves alone
listing     a page of a list of tools, every tool read for itself
schemas     the schemas of tools, in the form that every provider takes
rendering   results of tools as a model gets them
guard       the program between this process and a stdio server, which ends it and all it started

`session` and `connection` are imported at the first use of a server: the library takes 2 s and 55 MB.
"""

from agents.tools.mcp.listing import LeftOut
from agents.tools.mcp.pool import McpPool
from agents.tools.mcp.refresh import refresh
from agents.tools.mcp.specs import McpServerSpec, McpToolSpec, read_mcp_tools
from agents.tools.mcp.tool import McpTool

__all__ = ["LeftOut", "McpPool", "McpServerSpec", "McpTool", "McpToolSpec", "read_mcp_tools", "refresh"]
