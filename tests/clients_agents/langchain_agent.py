"""LangChain's tool-calling agent with a tool of its own: given JSON as its argument, prints JSON.

It runs in an environment of its own, made of requirements.txt beside it.
"""

import json
import sys

from langchain.agents import create_agent  # type: ignore[import-not-found]
from langchain_core.tools import tool  # type: ignore[import-not-found]
from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]

given = json.loads(sys.argv[1])
asked: list[str] = []


@tool  # type: ignore[untyped-decorator]
def get_weather(city: str) -> str:
    """Tell the weather."""
    asked.append(city)
    return f"Sunny in {city}."


model = ChatOpenAI(
    model=given["model"], base_url=given["baseURL"], api_key="dummy", max_retries=0, streaming=given["stream"]
)
agent = create_agent(model, [get_weather])
question = {"role": "user", "content": "How is the weather?"}
if given["stream"]:
    said = ""
    for message, _ in agent.stream({"messages": [question]}, stream_mode="messages"):
        if message.type == "AIMessageChunk":
            said += message.text
else:
    said = agent.invoke({"messages": [question]})["messages"][-1].text
print(json.dumps({"said": said, "asked": asked}))
