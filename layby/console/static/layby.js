// The console's script: pages stay live, times are local, keys work. Pages work without it.
import { watch } from "./link.js";
import { morph, patch } from "./morph.js";
import { localize, tick } from "./times.js";
import { keys } from "./keys.js";
import { tally } from "./tally.js";

document.documentElement.classList.add("scripted");

const main = document.getElementById("main");

// The browser opens a lost stream again by itself, and the server then sends all that differs.
function follow(address) {
  const stream = new EventSource(address);
  watch(stream, () => follow(address));
  stream.addEventListener("patch", event => {
    for (const change of JSON.parse(event.data)) patch(change);
    document.dispatchEvent(new CustomEvent("patched"));
  });
  stream.addEventListener("gone", () => location.reload());
  window.addEventListener("pagehide", () => stream.close(), { once: true });
}

// Buttons that only help where there is a script.
function copying(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  navigator.clipboard?.writeText(button.dataset.copy).then(() => {
    const words = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 1500);
  });
}

// A link to a page that asks "Are you sure?" opens as a dialog here.
async function asking(event) {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.button) return;
  event.preventDefault();
  const page = await fetch(link.href, { headers: { Accept: "text/html" } });
  if (page.redirected) { location.href = page.url; return; }
  const found = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("form[data-confirm]");
  if (!found) { location.href = link.href; return; }
  const dialog = document.createElement("dialog");
  dialog.append(document.importNode(found, true));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", click => {
    if (click.target.closest("[data-close]")) { click.preventDefault(); dialog.close(); }
  });
  document.body.append(dialog);
  dialog.showModal();
}

// What is selected in a table of runs counts in its bar.
function counting() {
  for (const form of document.querySelectorAll("form[data-select]")) {
    const boxes = [...form.querySelectorAll("tbody input[type=checkbox]")];
    const chosen = boxes.filter(box => box.checked);
    for (const box of boxes) box.closest("tr").classList.toggle("sel", box.checked);
    const bar = form.querySelector("[data-selected]");
    if (bar) bar.textContent = chosen.length === 1 ? "1 run selected" : `${chosen.length} runs selected`;
    const all = form.querySelector("thead input[type=checkbox]");
    if (all) {
      all.checked = chosen.length > 0 && chosen.length === boxes.length;
      all.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
    }
    form.classList.toggle("any", chosen.length > 0);
  }
}

document.addEventListener("click", copying);
document.addEventListener("click", asking);
document.addEventListener("change", event => {
  const all = event.target.closest("thead input[type=checkbox]");
  if (all) for (const box of all.form.querySelectorAll("tbody input[type=checkbox]")) box.checked = all.checked;
  counting();
  // A filter that is chosen applies at once; what is typed waits for Enter.
  if (event.target.matches("form[role=search] :is(select, input[type=checkbox])")) event.target.form.requestSubmit();
});
document.addEventListener("patched", () => {
  localize(document);
  tally();
  counting();
});

localize(document);
tick();
keys(morph);
tally();
counting();
if (main?.dataset.live) follow(main.dataset.live);
