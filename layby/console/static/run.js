// The page of a run: selection by mouse and keys, zoom, rows that come as they are looked at,
// bars and clocks that grow, and patches while the run grows. Everything is in the address, and
// all links work without this script.
import { watch } from "./link.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const byId = (id) => document.getElementById(id);
const page = () => byId("run");
let stream = null;
let busy = null;

// -- replacing parts of the page ------------------------------------------------------------------

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.children];
}

/** What a person has opened, typed and scrolled to within an element survives its replacement. */
function kept(element) {
  const open = [...element.querySelectorAll("details[open]")].map((each) => each.dataset.keep ?? each.textContent.slice(0, 40));
  const typed = [...element.querySelectorAll("input:not([type=hidden]), textarea")].map((each) => each.value);
  const at = document.activeElement;
  const focus = at && element.contains(at) ? at.id || at.dataset.row || at.getAttribute("href") : null;
  return { open, typed, focus, top: element.scrollTop };
}

function restore(element, state) {
  for (const each of element.querySelectorAll("details")) {
    if (state.open.includes(each.dataset.keep ?? each.textContent.slice(0, 40))) each.open = true;
  }
  [...element.querySelectorAll("input:not([type=hidden]), textarea")].forEach((each, place) => {
    if (state.typed[place]) each.value = state.typed[place];
  });
  element.scrollTop = state.top;
  if (state.focus === null) return;
  const found = element.id === state.focus ? element : [...element.querySelectorAll("[id], [data-row], [href]")].find(
    (each) => each.id === state.focus || each.dataset.row === state.focus || each.getAttribute("href") === state.focus);
  focusOn(found);
}

/** A row that has just come can have the focus only once it has a place among the tabs. */
function focusOn(element) {
  if (element?.matches("#wf tr")) element.tabIndex = 0;
  element?.focus({ preventScroll: true });
}

function put(fresh) {
  const old = byId(fresh.id);
  if (!old || old.isEqualNode(fresh)) return;
  const selecting = !getSelection().isCollapsed && old.contains(getSelection().anchorNode);
  if (selecting && old.id !== "wf-axis") return; // what a person is copying stays
  const state = kept(old);
  old.replaceWith(fresh);
  restore(fresh, state);
}

// An element that is replaced between the pressing of a button and its release gets no click: while
// one is pressed, whatever would replace a part of the page waits.
let held = null;
let releasing = 0;

function hold() {
  clearTimeout(releasing); // pressed again before the last release was over
  held ??= [];
}

function release() {
  clearTimeout(releasing);
  releasing = setTimeout(() => { // the click comes first
    const late = held ?? [];
    held = null;
    late.forEach((change) => change());
  });
}

addEventListener("pointerdown", hold, true);
addEventListener("pointerup", release, true);
addEventListener("pointercancel", release, true);
addEventListener("pointermove", (event) => { if (held && !event.buttons) release(); }, true); // released elsewhere
addEventListener("blur", release); // of the window: the button may be released elsewhere

/** Change the page now, or as soon as no button is pressed. */
function whenFree(change) {
  if (held) held.push(change);
  else change();
}

function patch(html) {
  for (const fresh of parsed(html)) {
    if (fresh.id === "wf-axis") axisCame(fresh);
    put(fresh);
  }
  settle();
  document.dispatchEvent(new CustomEvent("patched"));
}

/** More rows than before: the blocks that are not there yet get their places. */
function axisCame(axis) {
  const blocks = Math.ceil(Number(axis.dataset.rows) / 200);
  const table = byId("wf");
  const there = table.tBodies.length;
  for (let at = there; at < blocks; at++) {
    const body = document.createElement("tbody");
    body.id = `wf-${at}`;
    body.dataset.block = String(at);
    body.className = "gap n1";
    table.append(body);
  }
  while (table.tBodies.length > blocks) table.tBodies[table.tBodies.length - 1].remove();
  const before = byId("wf-axis");
  if (blocks > 1 && before && before.dataset.knots !== axis.dataset.knots) stale();
}

// -- moving within the page -----------------------------------------------------------------------

/** Show another look at the same run, without loading the frame again. */
async function go(url, { push = true, focus = null } = {}) {
  const run = await fetched(url, () => location.assign(url));
  if (!run) return;
  if (push) history.pushState({}, "", url);
  show(run, focus);
}

/** Show the same look anew. What a person has asked for comes first. */
async function refresh() {
  if (busy) return;
  const run = await fetched(location.href, () => {}); // the stream says whether the console is away
  if (run) show(run);
}

/** The page of a run, once it is here and no button is pressed; null: something else was asked for. */
async function fetched(url, failed) {
  busy?.abort();
  const mine = busy = new AbortController();
  try {
    const answer = await fetch(url, { signal: mine.signal, credentials: "same-origin" });
    const fresh = new DOMParser().parseFromString(answer.ok ? await answer.text() : "", "text/html");
    await new Promise(whenFree);
    if (mine.signal.aborted) return null;
    if (!fresh.getElementById("run")) return failed() ?? null;
    return fresh;
  } catch (error) {
    return error.name === "AbortError" ? null : failed() ?? null;
  } finally {
    if (busy === mine) busy = null;
  }
}

function show(fresh, focus = null) {
  const run = fresh.getElementById("run");
  const scroll = [scrollX, scrollY];
  const active = document.activeElement?.id;
  const state = kept(byId("detail"));
  const same = byId("detail").dataset.row === run.querySelector("#detail")?.dataset.row;
  page().replaceWith(document.adoptNode(run));
  if (same) restore(byId("detail"), state);
  document.title = fresh.title;
  scrollTo(...scroll);
  focusOn(byId(focus ?? active ?? ""));
  settle();
  listen();
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target.closest("a[data-soft]");
  if (link) {
    event.preventDefault();
    const row = link.closest("tr")?.id;
    return go(link.getAttribute("href").replace("#detail", ""), { focus: row ?? link.id });
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) return copyText(copy);
  const tab = event.target.closest(".tabs a");
  if (tab) return showTab(event, tab);
  const row = event.target.closest("#wf tbody tr[data-row]");
  if (row && !event.target.closest("a") && getSelection().isCollapsed) select(row);
});
addEventListener("popstate", () => page() && go(location.href, { push: false }));

function select(row) {
  const link = row.querySelector("a.lk");
  if (link) go(link.getAttribute("href").replace("#detail", ""), { focus: row.id });
}

function showTab(event, tab) {
  const target = byId(tab.hash.slice(1));
  if (!target) return;
  event.preventDefault();
  for (const each of tab.parentElement.children) each.removeAttribute("aria-current");
  tab.setAttribute("aria-current", "true");
  target.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}

async function copyText(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId("cli"));
  }
}

// -- keys -----------------------------------------------------------------------------------------

const rows = () => [...document.querySelectorAll("#wf tbody tr[data-row]")];

function current() {
  const active = document.activeElement?.closest?.("#wf tbody tr[data-row]");
  return active ?? document.querySelector('#wf tr[aria-selected="true"]') ?? rows()[0];
}

function move(by) {
  const all = rows();
  const place = all.indexOf(current());
  const next = all[Math.min(all.length - 1, Math.max(0, place + by))];
  if (next) focusRow(next);
  return next;
}

function focusRow(row) {
  for (const each of document.querySelectorAll('#wf tr[tabindex="0"]')) each.tabIndex = -1;
  row.tabIndex = 0;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function parentOf(row) {
  const level = Number(row.ariaLevel);
  for (let each = row.previousElementSibling; each; each = each.previousElementSibling) {
    if (Number(each.ariaLevel) < level) return each;
  }
  return null;
}

function toggle(row) {
  go(row.querySelector("a.tog").getAttribute("href"), { focus: row.id });
}

const inGrid = {
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  PageDown: () => move(10),
  PageUp: () => move(-10),
  Home: () => focusRow(rows()[0]),
  End: () => focusRow(rows().at(-1)),
  Enter: () => select(current()),
  " ": () => select(current()),
  ArrowRight: () => {
    const row = current();
    if (row.ariaExpanded === "false") toggle(row);
    else if (row.ariaExpanded === "true") move(1);
  },
  ArrowLeft: () => {
    const row = current();
    if (row.ariaExpanded === "true") toggle(row);
    else if (parentOf(row)) focusRow(parentOf(row));
  },
};
const anywhere = {
  j: () => select(move(1)),
  k: () => select(move(-1)),
  "+": () => byId("zoom-in").click(),
  "=": () => byId("zoom-in").click(),
  "-": () => byId("zoom-out").click(),
  0: () => byId("zoom-all")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !page()) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "Escape") return closePops(event);
  const does = (event.target.matches("#wf tr") && inGrid[event.key]) || anywhere[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

function closePops() {
  for (const each of document.querySelectorAll("details.act[open]")) {
    each.open = false;
    each.querySelector("summary").focus();
  }
}
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.("details.act") || !event.target.open) return;
  for (const each of document.querySelectorAll("details.act[open]")) if (each !== event.target) each.open = false;
}, true);

// -- zoom by brushing over the axis ---------------------------------------------------------------

/** The time at a place of the axis, in milliseconds from the start of the run. */
function timeAt(percent) {
  const knots = byId("wf-axis").dataset.knots.split(" ").map((each) => each.split(":").map(Number));
  for (let place = 1; place < knots.length; place++) {
    const [x, at] = knots[place - 1];
    const [right, end] = knots[place];
    if (percent <= right) return at + (end - at) * Math.max(0, Math.min(1, (percent - x) / (right - x || 1)));
  }
  return knots.at(-1)[1];
}

document.addEventListener("pointerdown", (event) => {
  const axis = event.target.closest?.("#wf-axis td.t");
  if (!axis || event.button) return;
  const svg = axis.querySelector("svg");
  const box = svg.getBoundingClientRect();
  const place = (each) => Math.max(0, Math.min(100, ((each.clientX - box.left) / box.width) * 100));
  const from = place(event);
  const brush = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  brush.setAttribute("class", "f-brush");
  brush.setAttribute("height", "36");
  svg.append(brush);
  axis.setPointerCapture(event.pointerId);
  const draw = (each) => {
    brush.setAttribute("x", `${Math.min(from, place(each))}%`);
    brush.setAttribute("width", `${Math.abs(from - place(each))}%`);
  };
  const end = (each) => {
    axis.removeEventListener("pointermove", draw);
    brush.remove();
    const to = place(each);
    if (each.type === "pointercancel" || Math.abs(to - from) < 1) return;
    const url = new URL(location.href);
    url.searchParams.set("from", String(Math.floor(timeAt(Math.min(from, to)))));
    url.searchParams.set("to", String(Math.ceil(timeAt(Math.max(from, to)))));
    url.searchParams.delete("done");
    go(url.href);
  };
  axis.addEventListener("pointermove", draw);
  axis.addEventListener("pointerup", end, { once: true });
  axis.addEventListener("pointercancel", end, { once: true });
});

// -- rows that come as they are looked at ---------------------------------------------------------

const near = new IntersectionObserver((entries) => {
  for (const each of entries) if (each.isIntersecting && each.target.matches(".gap")) fill(each.target);
}, { rootMargin: "1500px 0px" });
const far = new IntersectionObserver((entries) => {
  for (const each of entries) if (!each.isIntersecting && each.target.matches(".blk")) empty(each.target);
}, { rootMargin: "12000px 0px" });
const asked = new Set();

async function fill(gap) {
  const at = gap.dataset.block ?? gap.id.slice(3);
  if (asked.has(at)) return;
  asked.add(at);
  const mine = page();
  try {
    const url = new URL(`${page().dataset.run}/rows`, location.href);
    url.search = location.search;
    url.searchParams.set("block", at);
    const answer = await fetch(url, { credentials: "same-origin" });
    const rows = answer.ok ? parsed(await answer.text()) : [];
    whenFree(() => {
      if (mine !== page()) return; // another look by now
      rows.forEach(put);
      settle();
    });
  } finally {
    asked.delete(at);
  }
}

/** What is far away is dropped, at the same height. */
function empty(body) {
  if (body.contains(document.activeElement) || body.querySelector('[aria-selected="true"]')) return;
  const gap = document.createElement("tbody");
  gap.id = body.id;
  gap.dataset.block = body.id.slice(3);
  gap.className = `gap n${Math.max(1, Math.min(10, Math.ceil(body.rows.length / 20)))}`;
  body.replaceWith(gap);
  near.observe(gap);
}

/** The scale has changed: the rows in view are asked for again, once a second at most. */
let waiting = 0;
function stale() {
  if (waiting) return;
  waiting = setTimeout(() => {
    waiting = 0;
    for (const body of document.querySelectorAll("#wf tbody.blk")) {
      const box = body.getBoundingClientRect();
      if (box.bottom > -2000 && box.top < innerHeight + 2000) fill(body);
    }
  }, 1000);
}

/** After a change: one row can be reached by Tab, the others by arrows, and blocks are watched. */
function settle() {
  const grid = byId("wf");
  if (!grid) return;
  for (const body of grid.tBodies) (near.observe(body), far.observe(body));
  for (const link of grid.querySelectorAll("tbody.blk a:not([tabindex])")) link.tabIndex = -1;
  for (const row of grid.querySelectorAll("tbody tr[data-row]:not([tabindex])")) row.tabIndex = -1;
  const first = grid.querySelector('tr[aria-selected="true"]') ?? grid.querySelector("tbody tr[data-row]");
  if (first && !grid.querySelector('tr[tabindex="0"]')) first.tabIndex = 0;
  local();
}

/** Labels of the axis in the browser's own time. */
function local() {
  for (const text of document.querySelectorAll("#wf-axis text[data-at]")) {
    const at = new Date(text.dataset.at);
    if (!Number.isNaN(at.valueOf())) text.textContent = at.toLocaleTimeString(undefined, { hour12: false });
  }
}

// -- what grows with time -------------------------------------------------------------------------

function duration(seconds) {
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

function tick() {
  if (document.hidden || !page()) return;
  const now = Date.now();
  for (const each of document.querySelectorAll("#run [data-age]")) {
    each.textContent = duration(Math.max(0, (now - Date.parse(each.dataset.age)) / 1000));
  }
  for (const each of document.querySelectorAll("#run .clock[data-until]")) {
    const left = Math.max(0, (Date.parse(each.dataset.until) - now) / 1000);
    const whole = (Date.parse(each.dataset.until) - Date.parse(each.dataset.from)) / 1000;
    each.querySelector("[data-left]").textContent = `${duration(left)} left`;
    each.querySelector("[data-ring]").setAttribute("stroke-dasharray", `${((left / whole) * 100.5).toFixed(1)} 100.5`);
  }
  grow();
}

function grow() {
  const rate = Number(byId("wf-axis")?.dataset.rate ?? 0);
  if (!rate) return;
  for (const bar of document.querySelectorAll("#wf [data-grows]")) {
    const x = Number.parseFloat(bar.getAttribute("x"));
    const width = Number.parseFloat(bar.getAttribute("width")) + rate;
    bar.setAttribute("width", `${Math.min(width, 100 - x).toFixed(2)}%`);
  }
  let full = false;
  for (const line of document.querySelectorAll("#run line[data-now]")) {
    const x = Math.min(100, Number.parseFloat(line.getAttribute("x1")) + rate);
    full ||= x >= 99.5;
    line.setAttribute("x1", `${x.toFixed(2)}%`);
    line.setAttribute("x2", `${x.toFixed(2)}%`);
  }
  if (full && stream) refresh();
}
setInterval(tick, 1000);

// -- patches --------------------------------------------------------------------------------------

function listen() {
  stream?.close();
  stream = null;
  if (!page()?.hasAttribute("data-live-run")) return;
  const url = new URL(`${page().dataset.run}/live`, location.href);
  url.search = location.search;
  const mine = stream = new EventSource(url);
  watch(mine, () => mine === stream && listen());
  stream.addEventListener("patch", (event) => whenFree(() => patch(JSON.parse(event.data).html)));
  stream.addEventListener("gone", () => whenFree(() => location.reload())); // nobody can read it any more
}
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => event.persisted && listen());

if (page()) {
  settle();
  listen();
  if (page().classList.contains("picked") === false) byId("wf")?.querySelector('tr[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
}
