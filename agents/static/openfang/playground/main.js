// The playground: one composer, and a conversation with one agent or with two side by side.

import { element } from "./dom.js";
import { Images } from "./images.js";
import { Pane } from "./pane.js";

const page = document.getElementById("playground");
const config = JSON.parse(document.getElementById("playground-config").textContent);
const find = (id) => document.getElementById(id);
const [panesBox, compare, composer, message, stop, send] = ["panes", "compare", "composer", "message", "stop", "send"].map(find);
const own = { name: config.agent.name, token: page.dataset.token };
let panes = [];

const images = new Images(find("images"), problem);
if (!config.seesImages) {
  find("add-image").disabled = true;
  find("add-image").title = config.images;
}

function problem(text) {
  const shown = find("composer-problem");
  shown.textContent = text;
  shown.hidden = !text;
}

function begin() {
  panes.forEach((pane) => pane.stop());
  const chosen = compare.selectedOptions[0];
  const other = compare.value ? [{ name: chosen.dataset.name, token: chosen.dataset.token }] : [];
  panes = [own, ...other].map((target) => new Pane(target, config, changed));
  panesBox.replaceChildren(...panes.map((pane) => pane.node));
  panesBox.classList.toggle("of-two", panes.length === 2);
  changed();
}

/** Has the page's URL say what is compared: a link to it, and a reload, show the same. */
function note() {
  const url = new URL(location.href);
  if (compare.value) url.searchParams.set("compare", compare.value);
  else url.searchParams.delete("compare");
  history.replaceState(null, "", url);
}

function changed() {
  const busy = panes.some((pane) => pane.busy);
  if (!busy && !stop.hidden) find("status").textContent = "The answer is complete.";
  if (busy && stop.hidden) find("status").textContent = "The agent is answering.";
  stop.hidden = !busy;
  send.hidden = busy;
}

async function submit() {
  const text = message.value.trim();
  if (panes.some((pane) => pane.busy) || !(text || images.urls.length)) return;
  problem("");
  message.value = "";
  grow();
  const sent = images.take();
  await Promise.all(panes.map((pane) => pane.say(text, sent)));
}

function stopAll() {
  panes.forEach((pane) => pane.stop());
  message.focus();
}

function grow() {
  message.style.height = "auto";
  message.style.height = `${Math.min(message.scrollHeight + 2, 240)}px`;
}

function attach(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return false;
  if (config.seesImages) images.add(pictures);
  else problem(config.images);
  return true;
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
message.addEventListener("keydown", (event) => {
  // While an input method composes, Enter takes its suggestion.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
message.addEventListener("input", grow);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && panes.some((pane) => pane.busy)) stopAll();
});
stop.addEventListener("click", stopAll);
find("clear").addEventListener("click", () => {
  begin();
  message.focus();
});
compare.addEventListener("change", () => {
  note();
  begin();
});

find("add-image").addEventListener("click", () => {
  // Made when it is needed: unfold has plans of its own for the file fields that it finds on a page.
  const chooser = element("input", { type: "file", accept: "image/*", multiple: true });
  chooser.addEventListener("change", () => images.add(chooser.files));
  chooser.click();
});
message.addEventListener("paste", (event) => {
  if (attach(event.clipboardData.files)) event.preventDefault();
});
page.addEventListener("dragover", (event) => {
  event.preventDefault();
  page.classList.add("of-dropping");
});
for (const end of ["dragleave", "drop"]) page.addEventListener(end, () => page.classList.remove("of-dropping"));
page.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!attach(event.dataTransfer.files)) problem("Drop images here: nothing else can be sent.");
});

begin();
message.focus({ preventScroll: true });
