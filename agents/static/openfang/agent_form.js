// The form of a new agent: a profile fills in the description, the prompt, the temperature and the tools.

const data = document.getElementById("profiles");

function fillIn(profile) {
  const fields = { description: profile.description, system_prompt: profile.system_prompt };
  for (const [name, value] of Object.entries({ ...fields, temperature: profile.temperature ?? "" })) {
    const field = document.getElementById(`id_${name}`);
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  for (const box of document.querySelectorAll("input[name=tools]")) box.checked = profile.tools.includes(box.value);
}

if (data) {
  const blank = { name: "", description: "", system_prompt: "", tools: [] };
  const profiles = new Map([blank, ...JSON.parse(data.textContent)].map((profile) => [profile.name, profile]));
  const name = document.getElementById("id_name");
  document.querySelector("input[name=filled_in]").value = "1";
  document.querySelector(".of-cards").addEventListener("change", (event) => {
    const profile = profiles.get(event.target.value);
    fillIn(profile);
    if (!name.value || profiles.has(name.value)) name.value = profile.name;
  });
  name.focus({ preventScroll: true });
}
