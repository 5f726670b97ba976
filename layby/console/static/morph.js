// Changes what is on the page into what the server rendered, and leaves alone what a person does
// there: focus, selection, what is typed, what is open.

const KEPT = new Set(["open", "data-kept"]);

export function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

// {id, html}: an element. {id, items, order}: a list, with the children that changed.
export function patch({ id, html, items, order }) {
  const there = document.getElementById(id);
  if (!there) return;
  if (html !== undefined) {
    const made = parsed(html);
    if (made) morph(there, made);
    return;
  }
  const wanted = new Set(order);
  for (const child of [...there.children]) if (child.id && !wanted.has(child.id)) child.remove();
  let at = there.firstElementChild;
  for (const key of order) {
    while (at && !at.id) at = at.nextElementSibling;
    let child = document.getElementById(key);
    const made = items[key] === undefined ? null : parsed(items[key]);
    if (!child && made) child = made;
    else if (child && made) morph(child, made);
    if (!child) continue;
    if (child === at) at = at.nextElementSibling;
    else there.insertBefore(child, at);
  }
}

export function morph(there, made) {
  if (there.nodeType !== made.nodeType || there.nodeName !== made.nodeName) {
    there.replaceWith(made);
    return;
  }
  if (there.nodeType !== Node.ELEMENT_NODE) {
    if (there.nodeValue !== made.nodeValue) there.nodeValue = made.nodeValue;
    return;
  }
  if (there.hasAttribute("data-keep")) return;
  attributes(there, made);
  children(there, made);
}

function attributes(there, made) {
  for (const { name } of [...there.attributes])
    if (!made.hasAttribute(name) && !KEPT.has(name)) there.removeAttribute(name);
  for (const { name, value } of made.attributes)
    if (!KEPT.has(name) && there.getAttribute(name) !== value) there.setAttribute(name, value);
}

function children(there, made) {
  const byId = new Map();
  for (const child of there.children) if (child.id) byId.set(child.id, child);
  let at = there.firstChild;
  for (const next of [...made.childNodes]) {
    const same = next.id ? byId.get(next.id) : unnamed(at, next);
    if (!same) {
      there.insertBefore(next, at);
      continue;
    }
    byId.delete(next.id);
    if (same === at) at = at.nextSibling;
    else there.insertBefore(same, at);
    morph(same, next);
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

// The child that is there already for one without an id: the next one, if it is of the same kind.
function unnamed(at, next) {
  return at && !at.id && at.nodeType === next.nodeType && at.nodeName === next.nodeName ? at : null;
}
