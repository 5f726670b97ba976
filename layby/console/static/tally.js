// How many questions are open: in the tab's title, on its icon, and as a notification by choice.

const CHOICE = "layby-notify";
const plain = document.title.replace(/^\(\d+\) /, "");
const icon = document.querySelector("link[rel=icon]");
const still = icon?.href;
let before = null;

function drawn(count) {
  const words = count > 99 ? "99" : String(count);
  return "data:image/svg+xml," + encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#f5a50a"/>` +
    `<text x="16" y="23" text-anchor="middle" font-family="sans-serif" font-weight="700" font-size="20" fill="#211500">${words}</text></svg>`);
}

export function tally() {
  const there = document.getElementById("tally");
  if (!there) return;
  const count = Number(there.dataset.open) || 0;
  document.title = count ? `(${count}) ${plain}` : plain;
  if (icon) icon.href = count ? drawn(count) : still;
  if (before !== null && count > before) notify(count, there.dataset.newest || "");
  before = count;
}

function notify(count, words) {
  if (document.visibilityState === "visible" || !("Notification" in window)) return;
  if (localStorage.getItem(CHOICE) !== "on" || Notification.permission !== "granted") return;
  new Notification(count === 1 ? "A question is open" : `${count} questions are open`, { body: words, tag: "layby" });
}

// The button that turns notifications on and off is there only where they can be had.
const button = document.getElementById("notify");
if (button && "Notification" in window && window.isSecureContext) {
  const say = () => {
    const on = localStorage.getItem(CHOICE) === "on" && Notification.permission === "granted";
    button.setAttribute("aria-pressed", String(on));
  };
  button.hidden = false;
  button.addEventListener("click", async () => {
    const on = button.getAttribute("aria-pressed") === "true";
    if (!on) await Notification.requestPermission();
    localStorage.setItem(CHOICE, on ? "off" : "on");
    say();
  });
  say();
}
