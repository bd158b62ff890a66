"""Results of MCP tools as the text that a model reads."""

import json
from typing import Any

import mcp_types as protocol

from agents.errors import ToolFailed


def rendered(result: protocol.CallToolResult) -> str:
    """Return what a tool answered. Raises ToolFailed, in the tool's words, if it says that it failed."""
    text = "\n".join(filter(None, map(_block, result.content)))
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    if result.is_error:
        raise ToolFailed(text or "The tool failed and did not say why.")
    return text or "(The tool answered nothing.)"


def _block(block: protocol.ContentBlock) -> str:
    match block:
        case protocol.TextContent():
            return block.text
        case protocol.ImageContent() | protocol.AudioContent():
            return f"[{block.type}, {block.mime_type}, {_size(block.data)}]"
        case protocol.ResourceLink():
            return f"[resource {block.name}: {block.uri}]"
        case protocol.EmbeddedResource(resource=resource):
            if isinstance(resource, protocol.TextResourceContents):
                return f"[resource {resource.uri}]\n{resource.text}"
            return f"[resource {resource.uri}, {resource.mime_type or 'binary'}, {_size(resource.blob)}]"


def _size(base64: str) -> str:
    return f"{len(base64) * 3 // 4} bytes"


def listed(tool: protocol.Tool) -> dict[str, Any]:
    """Return a tool as a row keeps it: with a schema that models' APIs take."""
    schema = {name: value for name, value in tool.input_schema.items() if name != "$schema"}
    return {
        "name": tool.name,
        "description": tool.description or tool.title or "",
        "parameters": {"type": "object", "properties": {}, **schema},
    }
