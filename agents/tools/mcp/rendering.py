"""Results of MCP tools as a model gets them: text, and pictures for models that see."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import mcp_types as protocol
from pydantic import TypeAdapter, ValidationError

from agents.errors import ToolFailed
from agents.tools.mcp.listing import clean
from agents.types import ImagePart, ImageURL, ToolAnswer

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")  # what every model with vision takes
MOST_PICTURES = 8
LARGEST_PICTURE = 5 * 1024 * 1024  # Anthropic's limit, the lowest of the large providers
# What is read of each kind of block; a mistake in the rest, such as the annotations, costs nothing.
MEMBERS = {
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource_link": ("name", "uri"),
    "resource": ("resource",),
}
BLOCK: TypeAdapter[protocol.ContentBlock] = TypeAdapter(protocol.ContentBlock)


def readable_content(content: object, structured: object) -> list[dict[str, Any]]:
    """Return the blocks that the library reads, with a word in the place of each that it does not.

    A result without text gets its structured content as text.
    """
    blocks = content if isinstance(content, list) else [] if content is None else [content]
    read = [_readable(block) for block in blocks]
    if structured is not None and not any(block["type"] in ("text", "resource") for block in read):
        read.insert(0, _text(json.dumps(clean(structured), ensure_ascii=False)))
    return read


def _readable(block: object) -> dict[str, Any]:
    if isinstance(block, str):
        return _text(block)
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(kind, str):
        return _text("[something that is no content, left out]")
    if kind not in MEMBERS:
        return _text(f"[content of the unknown type {kind[:40]!r}, left out]")
    wanted = {"type": kind, **{member: block[member] for member in MEMBERS[kind] if member in block}}
    try:
        BLOCK.validate_python(wanted, by_name=False)
    except ValidationError:
        return _text(f"[broken content of type {kind!r}, left out]")
    return wanted


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def rendered(result: protocol.CallToolResult) -> ToolAnswer:
    """Return what a tool answered. Raises ToolFailed, in the tool's words, if it says that it failed."""
    text = "\n".join(filter(None, map(_block, result.content)))
    if result.is_error:
        raise ToolFailed(text or "The tool failed and did not say why.")
    return ToolAnswer(text or "(The tool answered nothing.)", tuple(_pictures(result.content)))


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


def _pictures(content: Sequence[protocol.ContentBlock]) -> list[ImagePart]:
    """Return the pictures that a model can be given; the others are in the text by type and size alone."""
    images = [block for block in content if isinstance(block, protocol.ImageContent) and _is_picture(block)]
    return [ImagePart(ImageURL(f"data:{image.mime_type};base64,{image.data}")) for image in images[:MOST_PICTURES]]


def _is_picture(image: protocol.ImageContent) -> bool:
    if image.mime_type not in PICTURES or not image.data or len(image.data) * 3 // 4 > LARGEST_PICTURE:
        return False
    try:
        base64.b64decode(image.data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _size(encoded: str) -> str:
    return f"{len(encoded) * 3 // 4} bytes"
