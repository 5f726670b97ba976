// The keyboard. An element says which key presses it: data-key="a". Rows are in [data-rows].

const shown = [
  ["?", "this list"], ["g r, g i, g s, g h", "runs, inbox, send, health"], ["/", "search"],
  ["j, k", "next, previous row"], ["Enter", "open"], ["x", "select"],
];
const places = { r: "nav-link-runs", i: "nav-link-inbox", s: "nav-link-send", h: "nav-link-health" };

function typing(element) {
  return element.closest("input, textarea, select, [contenteditable]") !== null;
}

function move(by) {
  const rows = [...document.querySelectorAll("[data-rows] [data-row]")].filter(row => row.offsetParent);
  if (!rows.length) return false;
  const at = rows.findIndex(row => row === document.activeElement || row.contains(document.activeElement));
  const row = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  (row.matches("a, button") ? row : row.querySelector("a") ?? row).focus();
  row.scrollIntoView({ block: "nearest" });
  return true;
}

function list() {
  const own = [...document.querySelectorAll("[data-key][data-does]")]
    .map(element => [element.dataset.key, element.dataset.does]);
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", "Keys");
  const names = document.createElement("dl");
  names.className = "pairs";
  for (const [key, does] of [...shown, ...new Map(own)]) {
    const term = document.createElement("dt"), words = document.createElement("dd");
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    words.textContent = does;
    names.append(term, words);
  }
  const form = Object.assign(document.createElement("form"), { method: "dialog" });
  form.append(names, Object.assign(document.createElement("button"), { className: "btn", textContent: "Close" }));
  dialog.append(form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export function keys() {
  let going = -Infinity;
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target) && event.target.type !== "checkbox" && event.target.type !== "radio") {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (event.timeStamp - going < 1500 && places[event.key]) {
      event.preventDefault();
      document.getElementById(places[event.key])?.click();
      return;
    }
    going = event.key === "g" ? event.timeStamp : -Infinity;
    const done = act(event);
    if (done) event.preventDefault();
  });
  document.getElementById("show-keys")?.addEventListener("click", list);
}

function act(event) {
  if (event.key === "?") return list() ?? true;
  if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    search?.focus();
    return Boolean(search);
  }
  const own = [...document.querySelectorAll(`[data-key="${CSS.escape(event.key)}"]`)].find(element => element.offsetParent);
  if (own) return own.click() ?? true;
  if (event.key === "j" || event.key === "k") return move(event.key === "j" ? 1 : -1);
  if (event.key === "x") {
    const box = event.target.closest("[data-row]")?.querySelector("input[type=checkbox]");
    box?.click();
    return Boolean(box);
  }
  return false;
}
