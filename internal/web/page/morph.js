// Taking over what a fresh page says. Only what differs is touched, so that focus,
// selection, scroll position and opened rows stay. What the server escaped stays
// escaped: no markup is made here.

// become makes an element like a fresh one.
export function become(old, fresh) {
  for (const name of old.getAttributeNames()) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const name of fresh.getAttributeNames()) {
    const value = fresh.getAttribute(name);
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (fresh.firstElementChild?.dataset.key !== undefined) {
    becomeKeyed(old, fresh);
    return;
  }
  const now = [...old.childNodes];
  const then = [...fresh.childNodes];
  for (const [i, node] of then.entries()) {
    if (now[i] === undefined) {
      old.append(document.importNode(node, true));
    } else if (now[i].nodeName !== node.nodeName) {
      now[i].replaceWith(document.importNode(node, true));
    } else if (node.nodeType === Node.ELEMENT_NODE) {
      become(now[i], node);
    } else if (now[i].data !== node.data) {
      now[i].data = node.data;
    }
  }
  for (const node of now.slice(then.length)) node.remove();
}

// becomeKeyed is become for the children of a list, each of which is known by its
// data-key and stays the same element wherever it goes.
function becomeKeyed(old, fresh) {
  const wanted = new Set(Array.from(fresh.children, (e) => e.dataset.key));
  const known = new Map();
  for (const e of [...old.children]) {
    if (wanted.has(e.dataset.key)) known.set(e.dataset.key, e);
    else e.remove();
  }
  let next = old.firstElementChild;
  for (const e of fresh.children) {
    const mine = known.get(e.dataset.key);
    if (mine === undefined) {
      old.insertBefore(document.importNode(e, true), next);
      continue;
    }
    if (mine === next) next = next.nextElementSibling;
    else old.insertBefore(mine, next);
    become(mine, e);
  }
}

// hold keeps the arrangement of what is seen: it gives a fresh page the notices and the
// order of rows that the old one has. It returns how many notices are left out.
export function hold(old, fresh, ignored) {
  for (const list of fresh.querySelectorAll(".group > ul")) {
    const key = CSS.escape(list.parentElement.dataset.key);
    const mine = old.querySelector(`[data-key="${key}"] > ul`);
    if (mine !== null) keepOrder(mine, list);
  }
  const mine = old.querySelector(".attention");
  const list = fresh.querySelector(".attention");
  const news = new Map(Array.from(list.children, (e) => [e.dataset.key, e]));
  const kept = [];
  for (const e of mine.children) {
    let same = news.get(e.dataset.key);
    news.delete(e.dataset.key);
    if (same === undefined) {
      same = document.importNode(e, true);
      same.classList.add("over");
    }
    kept.push(same);
  }
  list.replaceChildren(...kept);
  return [...news.keys()].filter((key) => !ignored(key)).length;
}

// keepOrder orders the rows of a fresh list as they are, unless one came or went.
function keepOrder(old, fresh) {
  const rows = new Map(Array.from(fresh.children, (e) => [e.dataset.key, e]));
  const keys = Array.from(old.children, (e) => e.dataset.key);
  if (keys.length === rows.size && keys.every((key) => rows.has(key))) {
    fresh.replaceChildren(...keys.map((key) => rows.get(key)));
  }
}
