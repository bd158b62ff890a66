"""The form of an agent: from a profile to a working agent in a minute, with errors that say what to do."""

from dataclasses import asdict
from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from agents.models import Agent, LanguageModel
from agents.models.agent import beyond_model
from agents.profiles import Profile, load_profile, profile_names
from agents.tools import BUILT_IN, sandbox

GROUPS = {
    "Files of its workspace": ["file_read", "file_list", "file_search", "file_write", "file_edit"],
    "The web": ["web_search", "web_fetch"],
    "Memory": ["memory_store", "memory_recall"],
    "Facts": ["calculator", "current_time"],
    "Other agents": ["agent_ask"],
    "Programs": ["shell"],
}
NAMES_OF_OTHERS = ("gpt", "claude", "gemini")


def tool_choices() -> list[tuple[str, list[tuple[str, SafeString]]]]:
    """Return the built-in tools in groups, each with what it does; one that has no group yet stands under Others."""
    grouped = [name for names in GROUPS.values() for name in names]
    groups = {**GROUPS, "Others": [name for name in BUILT_IN if name not in grouped]}
    return [
        (title, [(name, _explained(name)) for name in names if name in BUILT_IN])
        for title, names in groups.items()
        if names
    ]


def _explained(name: str) -> SafeString:
    sentence = (BUILT_IN[name].spec.function.description or "").replace("\n", " ").partition(". ")[0].rstrip(".")
    more = f" {sandbox.describe()}" if name == "shell" else ""
    return format_html('<span class="of-tool"><b>{}</b> <span>{}.{}</span></span>', name, sentence, more)


def _unknown(name: str) -> SafeString:
    """Explain a tool of an agent from elsewhere, or of another version: who saves the agent does not lose it unseen."""
    words = "This server has no tool of that name: it does nothing until there is one."
    return format_html('<span class="of-tool"><b>{}</b> <span>{}</span></span>', name, words)


def profiles() -> list[dict[str, Any]]:
    """Return the profiles as the page needs them, the simplest first."""
    names = sorted(profile_names(), key=lambda name: (name != "assistant", name))
    return [_as_choice(load_profile(name)) for name in names]


def _as_choice(profile: Profile) -> dict[str, Any]:
    return {**asdict(profile), "tools": list(profile.tools)}


class AgentForm(forms.ModelForm):
    tools = forms.MultipleChoiceField(
        choices=tool_choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="It may use what is ticked, and nothing else.",
    )
    profile = forms.ChoiceField(choices=lambda: [("", ""), *((name, name) for name in profile_names())], required=False)

    class Meta:
        model = Agent
        exclude: list[str] = []
        help_texts = {"name": "Clients ask for this agent as the model openfang:NAME."}
        error_messages = {
            "name": {
                "unique": "There is an agent of this name already: clients choose agents by name.",
                "required": "An agent needs a name: clients ask for it as the model openfang:NAME.",
            }
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        unknown = [name for name in self.instance.tools if name not in BUILT_IN]
        if unknown and "tools" in self.fields:
            tools: Any = self.fields["tools"]
            tools.choices = [*tool_choices(), ("Not known here", [(name, _unknown(name)) for name in unknown])]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("profile") and not self.data.get("filled_in"):
            self._take_profile(load_profile(cleaned["profile"]))
        max_tokens, tools = cleaned.get("max_tokens"), cleaned.get("tools", [])
        for name, problem in beyond_model(cleaned.get("model"), max_tokens=max_tokens, tools=tools).items():
            self.add_error(name, problem)
        return cleaned

    def _take_profile(self, profile: Profile) -> None:
        """Fill in what is empty, where the page had no script to do it."""
        for name in ("description", "system_prompt", "temperature", "tools"):
            value = getattr(profile, name)
            if not self.cleaned_data.get(name) and value is not None:
                self.cleaned_data[name] = list(value) if name == "tools" else value


def remarks(agent: Agent, fallbacks: list[LanguageModel]) -> list[str]:
    """Return what is allowed, but may surprise whoever has made the agent like this."""
    found = []
    if known := [name for name in NAMES_OF_OTHERS if name in agent.name]:
        found.append(
            f"The name has “{known[0]}” in it. Cursor takes such a name for a model of that provider and may not ask "
            "this server: choose another name if Cursor is to use the agent."
        )
    model = agent.model
    if model and model.vision is False:
        found.append(f"{model.name} sees no images: requests with images are refused.")
    if model is None:
        return found
    for fallback in fallbacks:
        if model.vision and fallback.vision is False:
            found.append(f"{fallback.name} sees no images and is left out of requests that have some.")
        if agent.tools and fallback.tools is False:
            found.append(f"{fallback.name} cannot call tools and is left out when it would have to.")
    return found
