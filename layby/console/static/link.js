// The line in the rail that says whether the page is live.
const line = document.getElementById("live");
let lost = null;

function say(state, words) {
  if (!line) return;
  line.hidden = false;
  line.dataset.state = state;
  line.querySelector("span").textContent = words;
}

// Says what becomes of a stream. The browser opens a lost one again by itself, unless the console
// has answered with an error: then `again` is called.
export function watch(stream, again) {
  stream.addEventListener("open", () => {
    lost = null;
    say("on", "Live");
  });
  stream.addEventListener("error", () => {
    lost = lost ?? new Date();
    say("off", `Reconnecting, last seen ${lost.toLocaleTimeString([], { hour12: false })}`);
    if (stream.readyState === EventSource.CLOSED) setTimeout(again, 2000);
  });
}
