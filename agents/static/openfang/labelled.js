// Names for what has none, for who cannot see it. Select2 has none for what it puts in the place of a select: give it
// those of the fields. The signs beside the filters of two lists have one, which only an image may have.

function label() {
  for (const select of document.querySelectorAll("select.admin-autocomplete")) {
    const name = document.querySelector(`label[for="${select.id}"]`)?.textContent.replace("*", "").trim();
    const drawn = select.nextElementSibling;
    if (!name || !drawn?.matches(".select2")) continue;
    for (const part of drawn.querySelectorAll("[role=combobox], [role=textbox], [role=searchbox]")) {
      part.setAttribute("aria-label", name);
      // It refers to the text that is chosen, which is no name, and may be empty.
      part.removeAttribute("aria-labelledby");
    }
  }
  for (const sign of document.querySelectorAll(".selector .help-tooltip")) sign.setAttribute("role", "img");
}

// After what the admin does when a page is ready, which is when it draws them.
addEventListener("load", () => window.django?.jQuery?.(label));
