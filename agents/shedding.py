from agents.types import Message

REMOVED = "[This result was removed to fit the conversation into the model's context. Call the tool again if needed.]"


def shed_oldest_results(messages: list[Message]) -> bool:
    """Replace the older half of the tool results by a note that they are gone; false if none is left to go."""
    places = [i for i, message in enumerate(messages) if message.role == "tool" and message.content != REMOVED]
    for place in places[: (len(places) + 1) // 2]:
        messages[place] = Message("tool", REMOVED, tool_call_id=messages[place].tool_call_id)
    return bool(places)
