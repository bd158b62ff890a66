// Select2 has no names for what it puts in the place of a select: give it those of the fields, for who cannot see them.

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
}

// After what the admin does when a page is ready, which is when it draws them.
addEventListener("load", () => window.django?.jQuery?.(label));
