// One answer on the page: its text, its thoughts, the tools it used, and what it took.

import { element } from "./dom.js";
import { markdown } from "./markdown.js";

const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

export class Answer {
  text = "";
  calls = [];
  #began = performance.now();
  #parts = [];
  #frame = 0;

  constructor(name) {
    this.body = element("div", { className: "of-body" });
    this.figures = element("p", { className: "of-figures" });
    this.buttons = element("div", { className: "of-buttons" });
    const heading = element("h3", { textContent: name });
    this.waiting = element("p", { className: "of-waiting", textContent: "Waiting for the first word…" });
    this.node = element("article", { className: "of-answer", "aria-busy": "true" }, heading, this.waiting, this.body);
    this.node.append(this.figures, this.buttons);
  }

  /** Takes a chunk in, as it comes. */
  take(chunk) {
    if (chunk.usage) this.usage = chunk.usage;
    const delta = chunk.choices?.[0]?.delta;
    if (!delta) return;
    if (delta.reasoning_content) this.#think(delta.reasoning_content);
    if (delta.content || delta.refusal) this.#write(delta.content ?? delta.refusal);
    for (const piece of delta.tool_calls ?? []) this.#call(piece);
    this.finishReason = chunk.choices[0].finish_reason ?? this.finishReason;
  }

  #begun() {
    this.firstToken ??= performance.now() - this.#began;
    this.waiting.remove();
  }

  #write(text) {
    this.#begun();
    this.text += text;
    let part = this.#parts.at(-1);
    if (!part) {
      part = { text: "", node: element("div", { className: "of-text" }) };
      this.#parts.push(part);
      this.body.append(part.node);
    }
    part.text += text;
    // Once a frame: a fast model writes more often than a screen shows.
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  #render() {
    this.#frame = 0;
    const part = this.#parts.at(-1);
    part?.node.replaceChildren(markdown(part.text));
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    this.#render();
  }

  #think(text) {
    this.#begun();
    if (!this.thoughts) {
      this.thoughts = element("pre", { tabIndex: 0 });
      const summary = element("summary", { textContent: "Reasoning" });
      this.body.append(element("details", { className: "of-thoughts", open: true }, summary, this.thoughts));
    }
    this.thoughts.append(text);
  }

  #call(piece) {
    this.#begun();
    let call = this.calls.find(({ index }) => index === piece.index);
    if (!call) {
      call = { index: piece.index, id: piece.id, name: "", arguments: "" };
      call.title = element("span", { className: "of-tool-name" });
      call.state = element("span", { className: "of-tool-state", textContent: "running…" });
      call.given = element("pre", { tabIndex: 0 });
      call.result = element("pre", { tabIndex: 0, hidden: true });
      const summary = element("summary", {}, call.title, call.state);
      call.node = element("details", { className: "of-call", open: true }, summary, call.given, call.result);
      if (this.#parts.length) this.#flush();
      this.#parts = [];
      this.calls.push(call);
      this.body.append(call.node);
    }
    call.name += piece.function?.name ?? "";
    call.arguments += piece.function?.arguments ?? "";
    call.title.textContent = call.name;
    call.given.textContent = pretty(call.arguments);
  }

  get openCalls() {
    return this.calls.some((call) => call.result.hidden);
  }

  /** Shows what the server knows of the request: the tools' results while it runs, its figures at the end. */
  show(figures) {
    figures.tools.forEach((step, number) => {
      const call = this.calls[number];
      if (call) call.state.textContent = step.error ? `failed: ${step.error}` : step.duration;
    });
    for (const call of this.calls) {
      const result = figures.results[call.id];
      if (result === undefined || !call.result.hidden) continue;
      call.result.textContent = result;
      call.result.hidden = false;
      if (call.state.textContent === "running…") call.state.textContent = "done";
    }
    if (figures.running) return;
    if (figures.tools.length && !this.calls.length && !this.thoughts) {
      const used = figures.tools.map(({ name, duration, error }) => `${name} (${error || duration})`).join(", ");
      const text = `Tools, which this agent is set to hide from clients: ${used}`;
      this.body.append(element("p", { className: "of-remark", textContent: text }));
    }
    this.#showFigures(figures);
  }

  #showFigures({ tokens, cost, model, url, estimated, status }) {
    const facts = [
      ...(this.firstToken === undefined ? [] : [`first token ${seconds(this.firstToken)}`]),
      `total ${seconds(this.total)}`,
      `${tokens.prompt.toLocaleString("en")} in, ${tokens.completion.toLocaleString("en")} out${estimated ? " (estimated)" : ""}`,
      cost === "unknown" ? "cost unknown" : cost,
      ...(model ? [model] : []),
      ...(status.toLowerCase() === "ok" ? [] : [status.toLowerCase()]),
    ];
    const link = element("a", { href: url, textContent: "Request" });
    this.figures.replaceChildren(...facts.map((fact) => element("span", { textContent: fact })), link);
  }

  /** Ends the answer; whatever it says of tools that still ran is settled by `show`. */
  end(remark = "") {
    this.#flush();
    this.waiting.remove();
    this.total = performance.now() - this.#began;
    this.node.setAttribute("aria-busy", "false");
    if (this.finishReason === "length") remark ||= "The answer was cut: the model's limit of tokens was reached.";
    if (this.finishReason === "content_filter") remark ||= "The provider's content filter ended the answer.";
    for (const call of this.calls) {
      call.node.open = false;
      if (call.state.textContent === "running…") call.state.textContent = remark ? "not finished" : "done";
    }
    if (remark) this.body.append(element("p", { className: "of-remark", textContent: remark }));
    const took = [...(this.firstToken === undefined ? [] : [`first token ${seconds(this.firstToken)}`]), `total ${seconds(this.total)}`];
    this.figures.replaceChildren(...took.map((fact) => element("span", { textContent: fact })));
  }

  fail(message, advice) {
    const problem = element("div", { className: "of-problem", role: "alert" }, element("strong", { textContent: message }));
    if (advice) problem.append(element("p", { textContent: advice }));
    this.body.append(problem);
  }

  /** The message as a client keeps it for its next request. */
  get message() {
    const calls = this.calls.map(({ index, id, name, arguments: given }) => ({
      index, id, type: "function", function: { name, arguments: given },
    }));
    return { role: "assistant", content: this.text || null, ...(calls.length ? { tool_calls: calls } : {}) };
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
