// A conversation with one agent, or with one version of it.

import { copyFrom } from "../copy.js";
import { Answer } from "./answer.js";
import { complete, Refused } from "./completions.js";
import { curl } from "./curl.js";
import { element } from "./dom.js";
import { Pass } from "./token.js";

const LOOK_MS = 700;
const LOOKS = 20;
const ADVICE = {
  404: "Is the agent enabled, and still there?",
  413: "Send fewer or smaller images.",
  502: "The provider refused or could not be reached: look at its key and address under Providers.",
  503: "The server is busy or stopping. Try again in a moment.",
};

export class Pane {
  messages = [];
  #abort = null;

  constructor(target, config, changed) {
    Object.assign(this, { target, config, changed, pass: new Pass(target.token) });
    this.log = element("div", { className: "of-log", role: "log", tabIndex: 0, "aria-label": `Conversation with ${target.name}` });
    this.empty = element("p", { className: "of-empty", textContent: `Say something to ${target.name}.` });
    this.log.append(this.empty);
    this.node = element("section", { className: "of-pane", "aria-label": target.name }, element("h2", { textContent: target.name }), this.log);
  }

  get busy() {
    return this.#abort !== null;
  }

  say(text, images) {
    const parts = images.map((url) => ({ type: "image_url", image_url: { url } }));
    this.empty.remove();
    this.messages.push({ role: "user", content: parts.length ? [...(text ? [{ type: "text", text }] : []), ...parts] : text });
    const pictures = images.map((url, number) => element("img", { src: url, alt: `Image ${number + 1}` }));
    const shown = text ? [element("p", { textContent: text })] : [];
    this.log.append(element("article", { className: "of-question" }, element("h3", { textContent: "You" }), ...shown, ...pictures));
    return this.#answer();
  }

  stop() {
    this.#abort?.abort();
  }

  /** Has the last answer given anew. */
  again() {
    if (this.busy || !this.answer) return undefined;
    while (this.messages.at(-1)?.role === "assistant") this.messages.pop();
    this.answer.node.remove();
    return this.#answer();
  }

  async #answer() {
    this.answer?.buttons.querySelector("[data-again]")?.remove();
    const answer = (this.answer = new Answer(this.target.name));
    const asked = structuredClone(this.messages);
    this.#abort = new AbortController();
    this.log.append(answer.node);
    this.#follow(true);
    this.changed();
    let requestId = "";
    try {
      const { requestId: id, chunks } = await complete(this.config.completions, this.pass, asked, this.#abort.signal);
      requestId = id;
      this.#watch(answer, id);
      for await (const chunk of chunks) {
        answer.take(chunk);
        this.#follow();
      }
      answer.end();
      this.messages.push(answer.message);
    } catch (error) {
      requestId = error.requestId || requestId;
      this.#failed(answer, error);
    } finally {
      this.#abort = null;
    }
    this.#offer(answer, asked);
    this.changed();
    await this.#settle(answer, requestId);
  }

  #failed(answer, error) {
    if (error.name === "AbortError") {
      answer.end("Stopped.");
      if (answer.text) this.messages.push({ role: "assistant", content: answer.text });
      return;
    }
    answer.end();
    if (error instanceof Refused) {
      const wait = error.retryAfter ? `Try again in ${error.retryAfter} s.` : "";
      answer.fail(error.message, wait || ADVICE[error.status] || (error.status === 200 ? "The answer broke off. Try again." : ""));
    } else if (error instanceof TypeError) {
      answer.fail("The server cannot be reached.", "Is it still running? Then try again.");
    } else {
      answer.fail(error.message, "");
    }
  }

  /** Asks for the results of tools while they run: they are not part of the API's stream. */
  async #watch(answer, requestId) {
    while (answer.node.getAttribute("aria-busy") === "true") {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (answer.openCalls && answer.node.getAttribute("aria-busy") === "true") await this.#look(answer, requestId);
    }
  }

  async #settle(answer, requestId) {
    if (!requestId) return;
    // The row of a request that was stopped is closed a moment after the page has left.
    for (let look = 0; look < LOOKS; look += 1) {
      const figures = await this.#look(answer, requestId);
      if (!figures || !figures.running) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    this.#follow();
  }

  async #look(answer, requestId) {
    const address = this.target.token.split("?")[0].replace(/token\/$/, `requests/${requestId.replace(/^req_/, "").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")}/`);
    const response = await fetch(address).catch(() => null);
    if (!response?.ok || response.redirected) return null;
    const figures = await response.json();
    answer.show(figures);
    return figures;
  }

  #offer(answer, asked) {
    const copy = element("button", { type: "button", textContent: "Copy" });
    copy.addEventListener("click", () => copyFrom(copy, answer.text));
    const asCurl = element("button", { type: "button", textContent: "Copy as curl" });
    asCurl.addEventListener("click", () =>
      copyFrom(asCurl, curl(this.config.completions, this.pass.model ?? "", asked, this.config.needsKey)),
    );
    const again = element("button", { type: "button", textContent: "Try again", "data-again": "" });
    again.addEventListener("click", () => this.again());
    answer.buttons.append(...(answer.text ? [copy] : []), asCurl, again);
  }

  /** Keeps the end in sight, unless somebody has scrolled up to read. */
  #follow(always = false) {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    if (always || scrollHeight - scrollTop - clientHeight < 160) this.log.scrollTop = scrollHeight;
  }
}
