// Says that a question was looked at, once: when it has been visible for a second.
const LOOK = 1000;
const article = document.querySelector("article[data-opened]");
const title = article?.querySelector("h2.title");
let timer = 0;
let seen = false;

function look() {
  clearTimeout(timer);
  timer = 0;
  if (seen && document.visibilityState === "visible") timer = setTimeout(say, LOOK);
}

function say() {
  watching.disconnect();
  document.removeEventListener("visibilitychange", look);
  const token = article.querySelector("input[name=form_token]")?.value ?? "";
  fetch(article.dataset.opened, { method: "POST", body: new URLSearchParams({ form_token: token }) })
    .catch(() => {}); // it is said again when the page is opened again
}

const watching = new IntersectionObserver(entries => {
  seen = entries.at(-1).isIntersecting;
  look();
});
if (title) {
  watching.observe(title);
  document.addEventListener("visibilitychange", look);
}
