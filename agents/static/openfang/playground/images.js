// Images that go with the next message, as data URIs: from a file, the clipboard or dropped on the page.

import { element } from "./dom.js";

const MOST_BYTES = 15_000_000;
const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

export class Images {
  urls = [];

  constructor(list, problem) {
    this.list = list;
    this.problem = problem;
  }

  async add(files) {
    for (const file of files) {
      if (!TYPES.includes(file.type)) {
        this.problem(`${file.name || "This"} is no image that models read: use PNG, JPEG, GIF or WebP.`);
      } else if (file.size > MOST_BYTES) {
        this.problem(`${file.name} is larger than ${MOST_BYTES / 1e6} MB. Make it smaller first.`);
      } else {
        this.urls.push(await dataUrl(file));
      }
    }
    this.show();
  }

  take() {
    const taken = this.urls;
    this.urls = [];
    this.show();
    return taken;
  }

  show() {
    this.list.replaceChildren(...this.urls.map((url, number) => this.thumbnail(url, number)));
    this.list.hidden = !this.urls.length;
  }

  thumbnail(url, number) {
    const remove = element("button", { type: "button", textContent: "×", "aria-label": `Remove image ${number + 1}` });
    remove.addEventListener("click", () => {
      this.urls.splice(number, 1);
      this.show();
    });
    return element("div", { role: "listitem" }, element("img", { src: url, alt: `Image ${number + 1}` }), remove);
  }
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
