// The inbox: drafts survive a reload, lists grow in place, keys send, the clock's ring turns.
const stored = form => `layby draft ${form.dataset.draft} ${form.id}`;
const forms = () => [...document.querySelectorAll("form.answer")];

// The pairs of a form as it would be posted, without what the server added to it.
function pairs(form, submitter) {
  return [...new FormData(form, submitter)].filter(([, value]) => typeof value === "string");
}

function save(event) {
  const form = event.target.closest?.("form.answer[data-draft]");
  if (!form) return;
  const typed = pairs(form).filter(([name]) => name !== "form_token" && name !== "_do");
  try { sessionStorage.setItem(stored(form), JSON.stringify(typed)); } catch { /* full, or not allowed */ }
}

function draftOf(form) {
  try { return JSON.parse(sessionStorage.getItem(stored(form)) ?? "null"); } catch { return null; }
}

function forget(form) {
  try { sessionStorage.removeItem(stored(form)); } catch { /* not allowed */ }
}

// Rows of lists come from the server, so it draws the whole draft again.
async function restore(form) {
  if (form.closest("article").querySelector(".note.ok")) return forget(form);
  const draft = draftOf(form);
  if (!draft || form.dataset.posted !== undefined) return;
  if (draft.some(([name]) => name.endsWith("!row"))) {
    await redraw(form, [...draft, ["_again", "1"]]);
    return;
  }
  const texts = new Map();
  for (const [name, value] of draft) texts.set(name, [...(texts.get(name) ?? []), value]);
  for (const control of form.elements) {
    if (!control.name || control.type === "hidden" || control.tagName === "BUTTON") continue;
    const found = texts.get(control.name);
    if (control.type === "checkbox" || control.type === "radio") {
      if (found || control.type === "checkbox") control.checked = Boolean(found?.includes(control.value));
    } else if (found) control.value = found[0];
  }
}

// Post the form as it is, and take its fields from the page that comes back.
async function redraw(form, posted) {
  const token = form.elements.form_token?.value ?? "";
  const body = new URLSearchParams([["form_token", token], ...posted.filter(([name]) => name !== "form_token")]);
  const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const there = form.querySelector("[data-fields]");
  const made = page.getElementById(there.id);
  if (!made) return false;
  there.replaceWith(document.importNode(made, true));
  return true;
}

async function grow(event, form) {
  event.preventDefault();
  const before = new Set([...form.querySelectorAll("[id]")].map(element => element.id));
  const list = event.submitter.closest("fieldset")?.id;
  if (!await redraw(form, pairs(form, event.submitter))) return form.submit();
  const fresh = [...form.querySelectorAll("li[id], fieldset[id]")].find(element => !before.has(element.id));
  const place = fresh ?? document.getElementById(list) ?? form;
  (place.querySelector("input:not([type=hidden]), select, textarea, button") ?? form).focus();
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

document.addEventListener("submit", event => {
  const form = event.target.closest("form.answer");
  if (!form) return;
  const button = event.submitter;
  if (["_add", "_remove", "_json"].includes(button?.name)) return void grow(event, form);
  const needed = button?.dataset.needs && document.getElementById(button.dataset.needs);
  if (needed && !needed.value.trim()) {
    event.preventDefault();
    needed.focus();
    return;
  }
  if (form.dataset.sending !== undefined) return event.preventDefault();
  form.dataset.sending = "";
});
window.addEventListener("pageshow", () => { for (const form of forms()) delete form.dataset.sending; });

document.addEventListener("click", event => {
  const opens = event.target.closest("[data-opens]");
  const place = opens && document.getElementById(opens.dataset.opens);
  if (!place) return;
  place.open = true;
  place.querySelector("input:not([type=hidden]), select, textarea")?.focus();
});

document.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.closest("form.answer") ?? document.querySelector("form.answer");
  const send = form?.querySelector("[data-send]");
  if (!send || send.disabled) return;
  event.preventDefault();
  form.requestSubmit(send);
});

function rings() {
  for (const ring of document.querySelectorAll("[data-ring-from]")) {
    const from = Date.parse(ring.dataset.ringFrom), to = Date.parse(ring.dataset.ringTo);
    const left = Math.min(1, Math.max(0, (to - Date.now()) / Math.max(1, to - from)));
    ring.setAttribute("stroke-dasharray", `${(left * 100.5).toFixed(1)} 100.5`);
    ring.parentElement.setAttribute("aria-label", `${Math.round(left * 100)} % of the time is left`);
  }
}

// Where nothing was open, the first question that comes opens.
document.addEventListener("patched", () => {
  for (const form of forms()) if (form.closest("article").querySelector(".note.ok")) forget(form);
  if (document.querySelector(".at-list") && !document.querySelector("article[data-question]") &&
      document.querySelector("#questions > li")) location.reload();
});
document.addEventListener("input", save);
document.addEventListener("change", save);
setInterval(rings, 1000);
for (const form of forms()) if (form.dataset.draft) restore(form);
