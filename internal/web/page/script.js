// The page is whole as the server makes it. This fetches it again when something
// has happened, and takes over what differs.

import { heard, start } from "./act.js";
import { choose, isDismissed } from "./find.js";
import { become, hold } from "./morph.js";

const main = document.querySelector("main");
const linkShown = document.getElementById("link");
const news = document.getElementById("news");

// At most so often the page is fetched, in ms. Figures grow while nothing happens.
const leastPause = 250;
const ownPace = 30_000;
const patience = 10_000;
const lookAgain = 3_000;
const idleTime = 60_000;

/* ---- taking over what the server says ---- */

let leading = false; // to the newest event
let latest; // the page as it was fetched last, if not all of it was taken over
let touched = performance.now(); // when the user did anything

for (const kind of ["pointermove", "pointerdown", "keydown", "wheel", "touchmove"]) {
  document.addEventListener(kind, () => (touched = performance.now()), { passive: true });
}

function show(fresh) {
  if (fresh.documentElement.dataset.version !== document.documentElement.dataset.version) {
    location.reload(); // another nightporter, whose page may be another
    return;
  }
  // While the user looks, rows keep their order, and what needs attention is announced
  // above the page: nothing moves under a finger that is about to click.
  let more = 0;
  latest = undefined;
  if (!document.hidden && performance.now() - touched < idleTime) {
    latest = fresh.cloneNode(true);
    more = hold(main, fresh, isDismissed);
  }
  takeOver(fresh);
  news.classList.toggle("shown", more > 0);
  news.textContent = more === 1 ? "1 new problem" : `${more} new problems`;
}

news.addEventListener("click", () => {
  takeOver(latest);
  news.classList.remove("shown");
  scrollTo({ top: 0 });
});

function takeOver(fresh) {
  const region = main.querySelector(".events");
  const first = region?.querySelector("li");
  const newest = leading || (region?.scrollTop ?? 0) < 5;
  const before = first?.getBoundingClientRect().top;
  become(main, fresh.querySelector("main"));
  choose();
  // Whatever came in above, what is seen stays where it was. A reader of the newest is
  // taken to it when that has been drawn: in one step all would jump.
  const moved = first?.isConnected ? first.getBoundingClientRect().top - before : 0;
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
    const answer = await fetch("./", { signal: AbortSignal.timeout(patience) });
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
  if (linkShown.dataset.link !== "lost") tell("none", "Connecting");
  stream = new EventSource(`api/v1/events?since=${last}`);
  stream.onopen = () => {
    tell("live", "Live", "The page updates by itself");
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
    else tellLost();
  };
}

function lost() {
  stream?.close();
  stream = undefined;
  tellLost();
  clearTimeout(retry);
  if (!document.hidden) retry = setTimeout(follow, lookAgain);
}

function tellLost() {
  const now = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  tell("lost", `No connection since ${now}`, "Trying again every few seconds");
}

function tell(state, words, title = "") {
  if (linkShown.dataset.link === state) return;
  linkShown.dataset.link = state;
  linkShown.textContent = words;
  linkShown.title = title;
  document.body.classList.toggle("stale", state === "lost");
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
start(soon);
if (!document.hidden) follow();
