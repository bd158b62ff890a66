// The pass through the API: minted by the admin for ten minutes, and renewed before it ends.

const SPARE_MS = 60_000;

export class Pass {
  #token = "";
  #until = 0;

  constructor(url) {
    this.url = url;
  }

  async get() {
    if (Date.now() > this.#until - SPARE_MS) await this.renew();
    return { token: this.#token, model: this.model };
  }

  async renew() {
    const csrf = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
    const field = document.querySelector("input[name=csrfmiddlewaretoken]")?.value;
    const response = await fetch(this.url, { method: "POST", headers: { "X-CSRFToken": field ?? csrf } });
    if (response.redirected || response.status === 403) {
      throw new Error("You are logged out, or may no longer try this agent. Reload the page.");
    }
    if (!response.ok) throw new Error("This agent, or this version of it, is gone. Reload the page.");
    const minted = await response.json();
    this.#token = minted.token;
    this.model = minted.model;
    this.#until = Date.now() + minted.seconds * 1000;
  }

  forget() {
    this.#until = 0;
  }
}
