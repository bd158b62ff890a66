// Choosing among the models that a provider offers: finding some of hundreds, and seeing how many are chosen.

const form = document.getElementById("offers");

function counted(number) {
  return `${number} model${number === 1 ? "" : "s"}`;
}

function start() {
  const find = document.getElementById("find");
  const chooseShown = document.getElementById("choose-shown");
  const shown = document.getElementById("shown");
  const add = document.getElementById("add");
  const rows = [...document.querySelectorAll("#offered li")];
  const boxes = rows.map((row) => row.querySelector("input"));

  function tell() {
    const visible = rows.filter((row) => !row.hidden).length;
    const chosen = boxes.filter((box) => box?.checked).length;
    shown.textContent = visible === rows.length ? counted(visible) : `${visible} of ${counted(rows.length)}`;
    if (add) {
      add.textContent = chosen ? `Add ${counted(chosen)}` : "Add the chosen models";
      add.disabled = chosen === 0;
    }
    chooseShown.disabled = !boxes.some((box, number) => box && !box.checked && !rows[number].hidden);
  }

  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => row.dataset.name.includes(word));
    tell();
  });
  find.addEventListener("keydown", (event) => {
    // In a form Enter would send what is chosen so far; here it leads to what was found.
    if (event.key !== "Enter") return;
    event.preventDefault();
    boxes.find((box, number) => box && !rows[number].hidden)?.focus();
  });
  chooseShown.addEventListener("click", () => {
    rows.forEach((row, number) => {
      if (!row.hidden && boxes[number]) boxes[number].checked = true;
    });
    tell();
  });
  form.addEventListener("change", tell);

  find.hidden = chooseShown.hidden = false;
  find.focus();
  tell();
}

if (form) start();
