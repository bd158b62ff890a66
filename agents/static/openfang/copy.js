// Buttons that copy: `data-copy` names the element whose text is meant.

export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without https, as on a server in the home network, browsers offer no clipboard.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "of-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export async function copyFrom(button, text) {
  const label = button.textContent;
  try {
    await copyText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = label), 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copyFrom(button, document.getElementById(button.dataset.copy).textContent);
});
