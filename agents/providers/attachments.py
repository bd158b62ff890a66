"""What a provider attaches to a turn beside its text and calls, collected so that it can be given back."""

from typing import Any

from agents.providers.lenient import whole

# Fields of a message that are OpenAI's, or that say nothing about the turn.
OF_A_MESSAGE = {
    "annotations",
    "audio",
    "citations",
    "content",
    "function_call",
    "images",
    "index",
    "name",
    "refusal",
    "role",
    "search_results",
    "tool_calls",
    "usage",
}
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
# Fields that name a part; every piece of it repeats them.
MOST_LEVELS = 50  # of a field: every reader of JSON, and every recursion of ours, reads as many
NAMES = {"type", "id", "index", "format", "role", "name", "model"}


class MessageFields:
    """The fields of one answer that are not OpenAI's, each put together from its pieces."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._others: dict[str, Any] = {}

    def read(self, wire: dict[str, Any]) -> str:
        """Take a delta in, and return the thoughts in it that can be shown."""
        shown = ""
        for name, value in wire.items():
            if not value or (name in OF_A_MESSAGE and not (name == "content" and isinstance(value, list))):
                continue
            if name == "content":
                shown = shown or self._read_parts(value)
            elif isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
                if name in THOUGHTS:
                    shown = shown or value
            elif isinstance(value, list | dict) and not is_deeper(value, MOST_LEVELS):
                self._others[name] = merged(self._others.get(name), value)
        return shown or _thoughts_in(wire.get("reasoning_details"))

    def collected(self) -> dict[str, Any] | None:
        """Return all fields, None if there were none."""
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        return whole(texts | self._others) or None

    def _read_parts(self, parts: list[Any]) -> str:
        """Keep the parts of a content that are no text, as Mistral's thoughts are."""
        others = [part for part in parts if isinstance(part, dict) and not isinstance(part.get("text"), str)]
        if others:
            self._others["content"] = merged(self._others.get("content"), others)
        return "".join(_thoughts_in(part.get("thinking")) for part in others)


def merged(known: Any, piece: Any) -> Any:
    """Return a value with another piece of it: texts are joined, parts of one index or of one kind are one part."""
    if known is None:
        return piece
    if isinstance(known, str) and isinstance(piece, str):
        return known + piece
    if isinstance(known, dict) and isinstance(piece, dict):
        news = {name: value for name, value in piece.items() if value is not None and name not in NAMES & known.keys()}
        return known | {name: merged(known.get(name), value) for name, value in news.items()}
    if isinstance(known, list) and isinstance(piece, list):
        parts = list(known)
        for item in piece:
            _add(parts, item)
        return parts
    return piece


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether a value is nested in more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(item, levels - 1) for item in items)


def _add(parts: list[Any], item: Any) -> None:
    place = next((at for at in reversed(range(len(parts))) if _goes_on(parts[at], item, at, parts)), None)
    if place is None:
        parts.append(item)
    else:
        parts[place] = merged(parts[place], item)


def _goes_on(known: Any, piece: Any, at: int, parts: list[Any]) -> bool:
    """Tell whether a piece is more of a part: of its index, or else of the last one, if that is open text."""
    if not isinstance(known, dict) or not isinstance(piece, dict) or known.get("type") != piece.get("type"):
        return False
    if piece.get("id") and known.get("id") and piece["id"] != known["id"]:
        return False
    if piece.get("index") is not None:
        return bool(known.get("index") == piece["index"])
    closed = known.get("signature") or known.get("data") or piece.get("data")
    return at == len(parts) - 1 and not closed


def _thoughts_in(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = (part.get("text") or part.get("summary") for part in value if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return ""
