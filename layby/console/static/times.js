// Times in the reader's own zone, and ages that count: <time datetime data-as="clock|age|left">.

const MINUTE = 60, HOUR = 3600, DAY = 86400;

export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < MINUTE) return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds)} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < DAY) {
    const minutes = String(Math.floor(seconds % HOUR / MINUTE)).padStart(2, "0");
    return `${Math.floor(seconds / HOUR)} h ${minutes} min`;
  }
  return `${Math.floor(seconds / DAY)} d`;
}

function whole(seconds) {
  return seconds < MINUTE ? `${Math.max(0, Math.floor(seconds))} s` : duration(seconds);
}

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false });
const full = new Intl.DateTimeFormat([], { dateStyle: "full", timeStyle: "long" });

function text(element, then, now) {
  const seconds = (now - then) / 1000;
  if (element.dataset.as === "age") return whole(seconds);
  if (element.dataset.as === "left") return seconds < 0 ? whole(-seconds) : "0 s";
  const today = new Date(now).toDateString() === new Date(then).toDateString();
  return (today ? clock : day).format(then);
}

export function localize(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-as]")) {
    const then = Date.parse(element.dateTime);
    if (Number.isNaN(then)) continue;
    const words = text(element, then, now);
    if (element.textContent !== words) element.textContent = words;
    if (!element.title) element.title = full.format(then);
  }
  // How much of the time to answer is over: <rect data-from data-to>, in percent of its parent.
  for (const bar of root.querySelectorAll("[data-from][data-to]")) {
    const from = Date.parse(bar.dataset.from), to = Date.parse(bar.dataset.to);
    const share = Math.min(1, Math.max(0, (now - from) / Math.max(1, to - from)));
    bar.setAttribute("width", `${(share * 100).toFixed(1)}%`);
  }
}

export function tick() {
  setInterval(() => { if (!document.hidden) localize(document); }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) localize(document); });
}
