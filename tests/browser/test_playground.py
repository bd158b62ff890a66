"""The playground in a browser: made an agent, spoke with it, saw its tools, stopped it, compared it."""

import base64
import json
import shlex
import uuid

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.browser.conftest import log_in, serious_problems
from tests.live import Live
from tests.live.asking import eventually
from tests.openai_compat.examples import PIXEL
from tests.upstream import Upstream, calls, fails, says, stalls

pytestmark = pytest.mark.slow

ANSWER, FIGURES = ".of-answer", ".of-figures a"
MARKDOWN = "## Results\n\nUse **this**:\n\n```python\nprint(1)\n```\n\n- one\n- <img src=x onerror=alert(1)>"


def agent_id(site: Live, name: str) -> str:
    [row] = site.rows(f"SELECT id FROM agents_agent WHERE name = '{name}'")
    return str(uuid.UUID(row["id"]))


async def open_playground(page: Page, site: Live, name: str = "coder") -> None:
    await log_in(page, site)
    await page.goto(f"{site.url}/admin/agents/agent/{agent_id(site, name)}/playground/")


async def choose(page: Page, file: FilePayload) -> None:
    async with page.expect_file_chooser() as opened:
        await page.click("text=Add image")
    await (await opened.value).set_files(file)


async def say(page: Page, text: str) -> None:
    await page.fill("#message", text)
    await page.press("#message", "Enter")


async def test_an_agent_is_made_from_a_profile_and_answers_on_the_embedded_model(
    page: Page, embedded_site: Live
) -> None:
    await log_in(page, embedded_site)
    await page.goto(f"{embedded_site.url}/admin/agents/agent/add/")
    await page.check("input[value=tutor]")
    assert "tutor" in await page.input_value("#id_name")
    assert len(await page.input_value("#id_system_prompt")) > 100
    await page.fill("#id_name", "my-tutor")
    await page.click("button[name=_save]")
    await page.wait_for_url("**/playground/")
    # Each text that the answer has on its way, as the page shows it.
    await page.evaluate(
        """() => {
            window.seen = [];
            new MutationObserver(() => window.seen.push(document.querySelector(".of-text")?.textContent ?? ""))
                .observe(document.getElementById("panes"), { childList: true, subtree: true });
        }"""
    )

    await say(page, "What is the capital of France?")

    await expect(page.locator(FIGURES)).to_be_visible(timeout=120_000)
    lengths = await page.evaluate("[...new Set(window.seen.map((text) => text.length))]")
    assert len([length for length in lengths if length]) > 1, "the answer did not grow on the page"
    await expect(page.locator(".of-figures")).to_contain_text("first token")
    await expect(page.locator(".of-figures")).to_contain_text("$0")
    [row] = embedded_site.usage("agent_name = 'my-tutor'")
    assert (row["status"], row["api_key_name"], row["streamed"]) == ("ok", "playground:boss", 1)


async def test_tools_are_shown_with_their_arguments_and_results(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.turns(calls("calculator", expression="6*7"), says("It is 42."))
    await open_playground(page, site, "handy")

    await say(page, "What is 6*7?")

    await expect(page.locator(FIGURES)).to_be_visible()
    await page.click(".of-call summary")
    assert await page.locator(".of-call pre").all_inner_texts() == ['{\n  "expression": "6*7"\n}', "42"]
    await expect(page.locator(".of-call .of-tool-name")).to_have_text("calculator")
    await expect(page.locator(".of-text")).to_have_text("It is 42.")
    await page.click(FIGURES)
    await page.wait_for_url("**/admin/agents/usagerecord/*/change/")


async def test_markdown_is_shown_and_html_is_text(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.says(MARKDOWN)
    await open_playground(page, site)

    await say(page, "Show me")

    await expect(page.locator(FIGURES)).to_be_visible()
    await expect(page.locator(".of-text h5")).to_have_text("Results")
    await expect(page.locator(".of-text strong")).to_have_text("this")
    await expect(page.locator(".of-text pre code")).to_have_text("print(1)")
    await expect(page.locator(".of-text li").last).to_have_text("<img src=x onerror=alert(1)>")
    assert await page.locator(".of-text img").count() == 0


async def test_an_answer_is_stopped_by_escape_and_the_upstream_call_with_it(
    page: Page, site: Live, upstream: Upstream
) -> None:
    upstream.turns(stalls("Once upon a time", then=" there was"))
    await open_playground(page, site)
    await say(page, "Tell me")
    await expect(page.locator(".of-text")).to_have_text("Once upon a time")
    await expect(page.locator("#stop")).to_be_visible()

    await page.keyboard.press("Escape")

    await expect(page.locator(".of-remark")).to_have_text("Stopped.")
    assert upstream.requests[-1].client_gone.wait(60)
    await expect(page.locator(FIGURES)).to_be_visible()
    await expect(page.locator(".of-figures")).to_contain_text("cancelled")
    await expect(page.locator("#message")).to_be_focused()


async def test_a_conversation_goes_on_and_an_answer_is_given_anew(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.turns(says("First."), says("Second."), says("Another second."))
    await open_playground(page, site)
    await say(page, "One")
    await expect(page.locator(FIGURES)).to_have_count(1)
    await say(page, "Two")
    await expect(page.locator(FIGURES)).to_have_count(2)

    await page.click("text=Try again")

    await expect(page.locator(ANSWER).last).to_contain_text("Another second.")
    await expect(page.locator(ANSWER)).to_have_count(2)
    said = [(message["role"], message["content"]) for message in upstream.asked[-1]["messages"][1:]]
    assert said == [("user", "One"), ("assistant", "First."), ("user", "Two")]


async def test_a_refusal_is_shown_with_what_can_be_done(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.turns(fails(401))
    await open_playground(page, site)

    await say(page, "Hello")

    problem = page.locator(".of-problem[role=alert]", has_text="key")
    await expect(problem).to_be_visible()
    await expect(page.locator("text=Try again")).to_be_visible()
    await expect(page.locator(FIGURES)).to_be_visible()


# As the browser gives a script what somebody pastes or drops: a file.
GIVE = """([id, type, url]) => fetch(url).then((response) => response.blob()).then((blob) => {
    const data = new DataTransfer();
    data.items.add(new File([blob], "dot.png", { type: "image/png" }));
    const options = { bubbles: true, cancelable: true };
    document.getElementById(id).dispatchEvent(type === "paste"
        ? new ClipboardEvent(type, { ...options, clipboardData: data })
        : new DragEvent(type, { ...options, dataTransfer: data }));
})"""


async def test_images_are_chosen_pasted_and_dropped(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.says("Three dots.")
    await open_playground(page, site)
    await choose(page, FilePayload(name="dot.png", mimeType="image/png", buffer=base64.b64decode(PIXEL[22:])))
    await page.evaluate(GIVE, ["message", "paste", "/static/openfang/mark.svg"])
    await page.evaluate(GIVE, ["playground", "drop", "/static/openfang/mark.svg"])
    await expect(page.locator("#images img")).to_have_count(3)

    await say(page, "What is it?")

    await expect(page.locator(FIGURES)).to_be_visible()
    text, first, *others = upstream.asked[-1]["messages"][-1]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert first["image_url"]["url"] == PIXEL
    assert [image["image_url"]["url"][:22] for image in others] == ["data:image/png;base64,"] * 2


async def test_what_is_no_image_is_refused_in_words(page: Page, site: Live) -> None:
    await open_playground(page, site)

    await choose(page, FilePayload(name="a.txt", mimeType="text/plain", buffer=b"text"))

    await expect(page.locator("#composer-problem")).to_have_text(
        "a.txt is no image that models read: use PNG, JPEG, GIF or WebP."
    )


async def test_two_versions_answer_side_by_side(page: Page, site: Live, upstream: Upstream) -> None:
    change = "from agents.models import Agent; a = Agent.objects.get(name='critic'); a.system_prompt = {!r}; a.save()"
    site.manage("shell", "--no-imports", "-c", change.format("Praise."))
    site.manage("shell", "--no-imports", "-c", change.format("Blame."))
    upstream.turns(says("One of them."), says("The other."))
    await open_playground(page, site, "critic")
    await page.select_option("#compare", index=1)
    assert "?compare=version-" in page.url
    await page.reload()  # as somebody does who has got the link

    await say(page, "Judge")

    await expect(page.locator(FIGURES)).to_have_count(2)
    await expect(page.locator(".of-pane")).to_have_count(2)
    assert {body["messages"][0]["content"] for body in upstream.asked[-2:]} == {"Blame.", "Praise."}


async def test_the_request_is_copied_as_a_curl_line(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.says("Hello.")
    await open_playground(page, site)
    await say(page, "It's me")
    await expect(page.locator(FIGURES)).to_be_visible()

    # The button says it for a second and a half, which may be over when this process looks.
    await page.evaluate(
        """() => {
            const look = () => { window.told ||= document.body.innerText.includes("Copied"); };
            new MutationObserver(look).observe(document.body, { childList: true, characterData: true, subtree: true });
        }"""
    )
    await page.click("text=Copy as curl")
    await page.wait_for_function("window.told")

    words = shlex.split((await page.evaluate("navigator.clipboard.readText()")).replace("\\\n", " "))
    assert words[:2] == ["curl", f"{site.url}/v1/chat/completions"]
    assert json.loads(words[-1])["messages"] == [{"role": "user", "content": "It's me"}]


async def test_an_ended_pass_is_renewed(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.turns(says("One."), says("Two."))
    await page.clock.install()
    await open_playground(page, site)
    await say(page, "First")
    await expect(page.locator(FIGURES)).to_have_count(1)
    minted: list[str] = []
    page.on("request", lambda request: minted.append(request.url) if "/token/" in request.url else None)

    await page.clock.fast_forward("09:30")
    await say(page, "Second")

    await expect(page.locator(ANSWER).last).to_contain_text("Two.")
    assert len(minted) == 1


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
async def test_the_pages_of_an_agent_are_accessible(
    page: Page, site: Live, upstream: Upstream, scheme: str, width: int
) -> None:
    upstream.turns(calls("calculator", expression="1+1"), says(MARKDOWN))
    await page.set_viewport_size({"width": width, "height": 900})
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await open_playground(page, site, "handy")
    await say(page, "Go")
    await expect(page.locator(FIGURES)).to_be_visible()

    problems = await serious_problems(page)
    base = f"{site.url}/admin/agents/agent"
    own = f"{base}/{agent_id(site, 'handy')}"
    for address in (f"{own}/connect/", f"{own}/history/", f"{own}/change/", f"{base}/add/", f"{base}/import/"):
        await page.goto(address)
        problems += [f"{address}: {problem}" for problem in await serious_problems(page)]
        overflow = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"{address} is wider than the window"
    assert problems == []
    assert eventually(lambda: site.usage("agent_name = 'handy'"))
