import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from agents.exposed_variables import VARIABLE_NAME, why_withheld
from agents.models.agent import Agent
from agents.models.served import Served, ServedQuerySet
from agents.urls import fits_a_header, split_http_url

VARIABLE = re.compile(rf"\$\{{({VARIABLE_NAME.pattern})\}}")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
SECRET_NAME = re.compile(r"auth|cookie|key(?!word)|passw|secret|token", re.IGNORECASE)


class McpTransport(models.TextChoices):
    HTTP = "http", "Streamable HTTP"
    STDIO = "stdio", "Program on this machine (stdio)"


class McpServerQuerySet(ServedQuerySet["McpServer"]):
    pass


class McpServer(Served):
    """A server of tools that speaks the Model Context Protocol. Its secrets stay in the environment."""

    name = models.CharField(
        max_length=24,
        unique=True,
        # Together with a tool's name it has to fit the 64 characters that models' APIs allow.
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9_-]{0,23}$", "Use 1 to 24 of a-z, 0-9, underscore and hyphen.")],
        help_text="The names of its tools begin with it: time_convert_time.",
    )
    transport = models.CharField(max_length=8, choices=McpTransport.choices, default=McpTransport.HTTP)
    url = models.CharField(
        "URL",
        max_length=500,
        blank=True,
        help_text="Such as https://example.com/mcp. ${NAME} stands for an environment variable that "
        "OPENFANG_EXPOSED_VARIABLES lists.",
    )
    headers = models.JSONField(
        default=dict,
        blank=True,
        help_text='Sent with every request: {"Authorization": "Bearer ${NAME}"}, with NAME an environment variable '
        "that OPENFANG_EXPOSED_VARIABLES lists.",
    )
    command = models.CharField(max_length=500, blank=True, help_text="The program to start, such as uvx.")
    args = models.JSONField("arguments", default=list, blank=True, help_text='Such as ["mcp-server-time"].')
    environment = models.JSONField(
        default=list,
        blank=True,
        help_text="The environment variables that the program gets besides PATH and HOME, of those that "
        'OPENFANG_EXPOSED_VARIABLES lists: ["GITHUB_TOKEN"].',
    )
    timeout = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text="Seconds that one call of a tool may take.",
    )
    enabled = models.BooleanField(default=True, help_text="Agents do not have the tools of a disabled server.")
    tools = models.JSONField(default=list, editable=False)
    # For servers of an older version that add rows to the same database, it has a default there as well.
    tools_left_out = models.JSONField(default=list, db_default=[], editable=False)  # [{"name": ..., "reason": ...}]
    tools_read_at = models.DateTimeField(null=True, editable=False)
    tools_stale = models.BooleanField(
        "tools have changed", default=False, editable=False, help_text="The server has said so since they were read."
    )

    objects = McpServerQuerySet.as_manager()

    class Meta:
        verbose_name = "MCP server"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        problems = dict(_http_problems(self) if self.transport == McpTransport.HTTP else _stdio_problems(self))
        problems = problems or dict(_withheld(self))
        if problems:
            raise ValidationError(problems)

    @property
    def why_withheld(self) -> str:
        """Return why a variable that this row names is not sent to the server; empty if all of them may be."""
        return next((reason for _, reason in _withheld(self)), "")

    @property
    def address(self) -> str:
        """Return where this server's variables are sent; empty for a program, which is given them."""
        return "" if self.transport == McpTransport.STDIO else self.url

    def named_variables(self) -> list[tuple[str, str]]:
        """Return the environment variables that this row names, each after the field that names it."""
        if self.transport == McpTransport.STDIO:
            return [("environment", name) for name in self.environment]
        texts = [("url", self.url), *(("headers", value) for value in self.headers.values())]
        return [(field, name) for field, text in texts for name in VARIABLE.findall(text)]

    def tool_names(self) -> list[str]:
        return [tool["name"] for tool in self.tools]


def _http_problems(server: McpServer) -> list[tuple[str, str]]:
    problems = []
    if problem := _url_problem(server.url):
        problems.append(("url", problem))
    if not _is_text_mapping(server.headers):
        problems.append(("headers", 'Not an object of texts: {"Name": "value"}.'))
    else:
        found = (_header_problem(name, value) for name, value in server.headers.items())
        problems += [("headers", problem) for problem in found if problem]
    return problems


def _stdio_problems(server: McpServer) -> list[tuple[str, str]]:
    problems = []
    if not server.command.strip():
        problems.append(("command", "A program is needed."))
    if not _are_texts(server.args):
        problems.append(("args", 'Not a list of texts: ["one", "two"].'))
    if not _are_texts(server.environment) or not all(map(VARIABLE_NAME.fullmatch, server.environment)):
        problems.append(("environment", 'Not a list of the names of environment variables: ["NAME"].'))
    return problems


def _withheld(server: McpServer) -> Iterator[tuple[str, str]]:
    """Yield the field of each variable that may not be sent to the server, and the reason."""
    for field, name in server.named_variables():
        if reason := why_withheld(name, server.address):
            yield field, reason


def _url_problem(url: str) -> str:
    # A variable may stand for the host or for the port: 1 can be either.
    if not split_http_url(VARIABLE.sub("1", url)):
        return "Not an http or https URL."
    query = url.partition("#")[0].partition("?")[2]
    user = url.partition("//")[2].partition("/")[0].rpartition("@")[0]
    secrets = [("password", user.partition(":")[2]), *parse_qsl(query)]
    found = (_secret_problem(name, value) for name, value in secrets)
    return next(filter(None, found), "")


def _header_problem(name: str, value: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        return f"{name!r} is not the name of a header."
    if not fits_a_header(value):
        return f"The value of {name} has a line break or a character that is not ASCII."
    return _secret_problem(name, value)


def _secret_problem(name: str, value: str) -> str:
    if not value or not SECRET_NAME.search(name) or VARIABLE.search(value):
        return ""
    return f"Put what {name} holds into an environment variable and name it here: ${{NAME}}."


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and "\x00" not in item for item in value)


def _is_text_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def repeated_tools(chosen: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield the place of each tool, as its server and name, that is chosen already; no name is all of a server's."""
    whole = {server for server, tool in chosen if not tool}
    for place, (server, tool) in enumerate(chosen):
        if (server, tool) in chosen[:place]:
            yield place, "This tool is in the list twice."
        elif tool and server in whole:
            yield place, "All the tools of this server are chosen already."


class AgentMcpToolQuerySet(ServedQuerySet["AgentMcpTool"]):
    pass


class AgentMcpTool(Served):
    """A tool of an MCP server that an agent may use."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="mcp_tools")
    server = models.ForeignKey(McpServer, on_delete=models.CASCADE, related_name="agent_tools")
    tool = models.CharField(max_length=200, blank=True, help_text="As the server calls it. Empty: all its tools.")

    objects = AgentMcpToolQuerySet.as_manager()

    class Meta:
        verbose_name = "MCP tool"
        ordering = ["server__name", "tool"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "server", "tool"], name="an_mcp_tool_once_per_agent"),
        ]

    def __str__(self) -> str:
        return f"{self.server.name}: {self.tool or 'all tools'}"
