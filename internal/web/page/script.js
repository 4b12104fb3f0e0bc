// The page is whole as the server makes it. This fetches it again when something
// has happened, takes over what differs, and asks for wakes. It makes no markup of
// its own: what the server escaped stays escaped, and all else is textContent.

const main = document.querySelector("main");
const region = main.querySelector(".events");
const linkShown = document.getElementById("link");
const said = document.getElementById("said");
const ask = document.getElementById("ask");

// At most so often the page is fetched, in ms. Figures grow while nothing happens.
const leastPause = 250;
const ownPace = 30_000;
const patience = 10_000;
const lookAgain = 3_000;

/* ---- taking over what the server says ---- */

// become makes an element like a fresh one. It touches only what differs, so that
// focus, selection and scroll position stay.
function become(old, fresh) {
  for (const name of old.getAttributeNames()) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
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

let leading = false; // to the newest event

function show(fresh) {
  if (fresh.documentElement.dataset.version !== document.documentElement.dataset.version) {
    location.reload(); // another nightporter, whose page may be another
    return;
  }
  const newest = leading || region.scrollTop < 5;
  const first = region.querySelector("li");
  const before = first.getBoundingClientRect().top;
  become(main, fresh.querySelector("main"));
  // Whatever came in above, what is seen stays where it was. Whoever looks at the
  // newest is taken to it when that has been drawn: in one step all would jump.
  const moved = first.isConnected ? first.getBoundingClientRect().top - before : 0;
  if (moved <= 0) return;
  region.scrollTop += moved;
  if (!newest || leading) return;
  leading = true;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      region.scrollTop = 0;
      leading = false;
    }),
  );
}

/* ---- when to fetch ---- */

let timer; // undefined: nothing is due
let fetching = false;
let wantsMore = false; // something happened while fetching, or out of sight
let lastFetch = -Infinity;
let pause = leastPause;

function soon() {
  wantsMore = true;
  if (document.hidden || fetching || timer !== undefined) return;
  timer = setTimeout(refresh, Math.max(0, lastFetch + pause - performance.now()));
}

async function refresh() {
  timer = undefined;
  wantsMore = false;
  fetching = true;
  lastFetch = performance.now();
  try {
    const answer = await fetch("/", { signal: AbortSignal.timeout(patience) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (fresh.querySelector("main[data-last]") === null) throw new Error("another page");
    show(fresh);
  } catch {
    lost(); // the stream may not have noticed
  }
  // A porter with many machines on a small computer is asked less often.
  pause = Math.max(leastPause, 4 * (performance.now() - lastFetch));
  fetching = false;
  if (wantsMore) soon();
}

/* ---- the stream of events ---- */

let stream; // undefined while it is to be opened again
let last = main.dataset.last; // seq of the newest event that was heard of
let retry;

function follow() {
  clearTimeout(retry);
  stream?.close();
  tell("none", "Connecting");
  stream = new EventSource(`/api/v1/events?since=${last}`);
  stream.onopen = () => {
    tell("live", "Live");
    soon();
  };
  stream.onmessage = (message) => {
    last = message.lastEventId;
    heard(JSON.parse(message.data));
    soon();
  };
  stream.onerror = () => {
    // The browser opens it again by itself, with Last-Event-ID, unless the answer
    // was an error.
    if (stream.readyState === EventSource.CLOSED) lost();
    else tell("lost", "Connection lost");
  };
}

function lost() {
  stream?.close();
  stream = undefined;
  tell("lost", "Connection lost");
  clearTimeout(retry);
  if (!document.hidden) retry = setTimeout(follow, lookAgain);
}

function tell(state, words) {
  if (linkShown.dataset.link === state) return;
  linkShown.dataset.link = state;
  linkShown.textContent = words;
}

// Out of sight nothing is followed: browsers allow few connections to one host, and
// porters few that follow.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(retry);
    stream?.close();
    stream = undefined;
  } else {
    follow();
    soon();
  }
});
setInterval(soon, ownPace);
if (!document.hidden) follow();

/* ---- waking ---- */

const tokenKey = "nightporter-token";
const asking = new Set(); // names that are being asked for
const awaited = new Set(); // names whose wake was taken up

main.addEventListener("click", (click) => {
  const button = click.target.closest("button");
  if (button === null || button.getAttribute("aria-disabled") === "true") return;
  const name = button.closest("tr").dataset.key;
  if (!asking.has(name)) wake(name);
});

async function wake(name) {
  asking.add(name);
  try {
    const answer = await fetch(`/api/v1/machines/${encodeURIComponent(name)}/wake`, {
      method: "POST",
      headers: tokenHeaders(),
      signal: AbortSignal.timeout(patience),
    });
    if (answer.status === 401) askToken(name, await reason(answer));
    else if (answer.ok) takenUp(name, await answer.json());
    else say(`${name} was not woken: ${await problem(answer)}`, "bad");
  } catch {
    say(`${name} was not woken: the porter cannot be reached.`, "bad");
  }
  asking.delete(name);
  soon();
}

// The token is sent as its UTF-8; a header takes a character for each byte.
function tokenHeaders() {
  const token = sessionStorage.getItem(tokenKey);
  if (token === null) return {};
  return { "X-Nightporter-Token": String.fromCharCode(...new TextEncoder().encode(token)) };
}

function takenUp(name, machine) {
  if (machine.state === "awake") {
    say(`${name} counts as awake. It got a magic packet all the same.`);
    return;
  }
  awaited.add(name);
  if (machine.state === "settling") say(`${name} is falling asleep, and is woken once it sleeps.`);
  else say(`${name} is being woken.`);
}

async function problem(answer) {
  const after = answer.headers.get("Retry-After");
  if (answer.status === 429) return `too many wakes from here. Try again in ${after ?? "some"} s.`;
  if (answer.status === 503) return "the porter did not take it up in time. Try again.";
  return reason(answer);
}

async function reason(answer) {
  const told = await answer.json().catch(() => ({}));
  return told.error ?? `status ${answer.status}`;
}

// heard tells how a wake ended that was asked for here.
function heard(event) {
  if (!awaited.has(event.machine)) return;
  if (event.kind === "ready") {
    say(`${event.machine} is awake${event.ready_seconds ? ` after ${event.ready_seconds.toFixed(1)} s` : ""}.`, "good");
  } else if (event.kind === "failed") {
    say(`${event.machine} did not wake: it took no notice of ${event.attempts ?? 0} magic packets.`, "bad");
  } else {
    return;
  }
  awaited.delete(event.machine);
}

function say(words, mood = "") {
  said.className = `said ${mood}`;
  said.querySelector("p").textContent = words;
}

function hush() {
  said.className = "";
  said.querySelector("p").textContent = "";
}

said.querySelector("button").addEventListener("click", hush);
document.addEventListener("keydown", (key) => {
  if (key.key === "Escape" && !ask.open) hush();
});

/* ---- the token ---- */

let askedFor; // the machine to be woken with the token

function askToken(name, why) {
  askedFor = name;
  sessionStorage.removeItem(tokenKey);
  ask.querySelector("#ask-why").textContent = `${name} was not woken: ${why}.`;
  ask.querySelector("input").value = "";
  if (!ask.open) ask.showModal();
}

ask.querySelector("form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  sessionStorage.setItem(tokenKey, ask.querySelector("input").value);
  ask.close();
  wake(askedFor);
});
ask.querySelector("button[value=cancel]").addEventListener("click", () => ask.close());
