"""Tool calls, put together from the pieces in which servers stream them.

Whether a piece continues a call, repeats it or starts another is decided by whether the JSON so far is complete:
servers leave indexes out, give all calls index 0, or send a new id or the name again with every piece.
"""

from typing import Any

import msgspec

from agents.providers.arguments import ObjectText, decoded
from agents.providers.attachments import MOST_LEVELS, is_deeper
from agents.providers.lenient import HalfCharacters
from agents.types import ToolCallDelta

OF_A_CALL = {"index", "id", "type", "function"}
OF_A_FUNCTION = {"name", "arguments"}
LEGACY_INDEX = -1


class _Call:
    def __init__(self, index: int, call_id: str | None, name: str | None) -> None:
        self.index = index
        self.id = call_id
        self.name = name
        self.is_announced = False
        self.text = ObjectText()
        # An object behind the first one, until it is known whether it repeats it.
        self.next: ObjectText | None = None
        self.halves = HalfCharacters()


class CallAssembler:
    """Turns the pieces of one answer's calls into deltas whose arguments add up to one JSON object each."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._at: dict[Any, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    def read(self, wire: dict[str, Any]) -> list[ToolCallDelta]:
        """Return what one piece adds."""
        function = wire.get("function")
        if not isinstance(function, dict):
            function = wire
        name, call_id, index = _text(function.get("name")), _text(wire.get("id")), _index(wire.get("index"))
        arguments = _arguments(function.get("arguments"))
        if not (name or call_id or arguments):
            return []
        call = self._find(index, call_id, name)
        if call is None or self._starts_another(call, name, call_id, indexed=index is not None):
            call = self._open(call_id, name)
        call.name, call.id = call.name or name, call.id or call_id
        arguments = call.halves.join(arguments)
        if index is not None:
            self._at[index] = call
        if call_id:
            self._by_id[call_id] = call
        return self._feed(call, arguments, _extra(wire, function))

    @property
    def has_nameless(self) -> bool:
        """Whether arguments came for a tool that was never named (an empty object does not count)."""
        return any(call.name is None and call.text.begun and not call.text.is_empty_object for call in self._calls)

    def end(self) -> list[ToolCallDelta]:
        """Return what is left of the calls when the answer has ended."""
        rest = []
        for call in self._calls:
            last = call.text.feed(call.halves.join("", final=True))
            flows = call.text.flows
            arguments, was_read = call.text.finish()
            delta = self._delta(call, last + arguments)
            if not was_read:
                delta.unread, delta.broke_off = call.text.raw, flows
            if delta.arguments or delta.name or delta.unread:
                rest.append(delta)
        return rest

    def _find(self, index: Any, call_id: str | None, name: str | None) -> _Call | None:
        """Return the call that a piece belongs to by its index or id, else the last one if it may still be written."""
        at_index = self._at.get(index) if index is not None else None
        if at_index is not None and (call_id is None or call_id == at_index.id):
            return at_index
        known = self._by_id.get(call_id) if call_id else None
        if known is not None:
            repeats = known.text.complete and known.name == name
            if index is None or at_index is not None or name is None or repeats:
                return known
        if at_index is not None:
            return at_index
        last = self._calls[-1] if self._calls else None
        # A piece at a new index without a name or an id cannot be the beginning of a call.
        return last if index is None or (not name and not call_id) else None

    def _starts_another(self, call: _Call, name: str | None, call_id: str | None, *, indexed: bool) -> bool:
        renamed = name is not None and call.name is not None and name != call.name
        has_new_id = call_id is not None and call.id is not None and call_id != call.id
        if call.text.complete:
            return renamed or has_new_id
        if call.text.begun:
            # While its JSON is incomplete, a call goes on whatever id the piece has: vLLM sends a new one with each.
            return renamed
        return renamed or (has_new_id and name is not None and not indexed)

    def _open(self, call_id: str | None, name: str | None) -> _Call:
        call = _Call(len(self._calls), call_id, name)
        self._calls.append(call)
        return call

    def _feed(self, call: _Call, arguments: str, extra: dict[str, Any]) -> list[ToolCallDelta]:
        deltas = []
        while True:
            ready = ""
            if not call.text.complete:
                ready = call.text.feed(arguments)
                arguments = call.text.surplus
            if ready or extra or (call.name and not call.is_announced):
                deltas.append(self._delta(call, ready, extra))
            if not arguments:
                return deltas
            call, arguments = self._behind(call, arguments)
            extra = {}

    def _behind(self, call: _Call, more: str) -> tuple[_Call, str]:
        """Take in what follows a complete object: the same once more, another call, or words that mean nothing.

        Return what is left to be fed, and to which call.
        """
        if call.next is None:
            more = more.lstrip(" \t\r\n,;")
            if not more.startswith("{"):
                return call, ""
            if call.text.is_empty_object:
                call.text = ObjectText()
                return call, more
            call.next = ObjectText()
        following = call.next
        following.feed(more)
        if not following.complete:
            return call, ""
        call.next = None
        if following.is_empty_object or decoded(following.raw) == decoded(call.text.raw):
            return call, following.surplus
        another = self._open(None, call.name)
        for index in [index for index, known in self._at.items() if known is call]:
            self._at[index] = another
        return another, following.raw + following.surplus

    def _delta(self, call: _Call, arguments: str, extra: dict[str, Any] | None = None) -> ToolCallDelta:
        delta = ToolCallDelta(call.index, arguments=arguments)
        if not call.is_announced and call.name:
            delta.id, delta.name, call.is_announced = call.id, call.name, True
        if extra:
            delta.extra = extra
        return delta


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def _index(value: Any) -> Any:
    return value if isinstance(value, int | str) and value != "" else None


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _extra(wire: dict[str, Any], function: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a call that are not OpenAI's: providers want them back with the call."""
    known = OF_A_CALL if function is not wire else OF_A_CALL | OF_A_FUNCTION
    extra = {name: value for name, value in wire.items() if name not in known and value not in (None, "", [], {})}
    if not isinstance(extra.get("extra_content", {}), dict):
        del extra["extra_content"]
    if function is not wire:
        inner = {name: value for name, value in function.items() if name not in OF_A_FUNCTION and value}
        if inner:
            extra["function"] = inner
    return extra if not is_deeper(extra, MOST_LEVELS) else {}
