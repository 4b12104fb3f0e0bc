// What the buttons do.

import { ask, problem, sure } from "./ask.js";
import { say } from "./say.js";

const main = document.querySelector("main");
const asking = new Set(); // names of machines that something is asked for
const awaited = new Set(); // names of machines whose wake was taken up
let soon; // looks at the porter again

const deeds = {
  wake: (button) => wake(button.closest("li").dataset.key),
  "wake-all": (button) => wakeAll(button.closest("section")),
  forget: (button) => forget(button.dataset.name),
  resume: (button) => resume(rowOf(button)),
  copy,
};

// start has the buttons work; look is called after each.
export function start(look) {
  soon = look;
  main.addEventListener("click", (click) => {
    const button = click.target.closest("button[data-do]");
    if (button === null || button.getAttribute("aria-disabled") === "true") return;
    deeds[button.dataset.do]?.(button);
  });
  main.addEventListener("change", (change) => {
    const select = change.target;
    if (select.dataset.do !== "pause" || select.value === "") return;
    pause(rowOf(select), select.value);
    select.value = "";
  });
}

function rowOf(e) {
  return e.closest(".group > ul > li").dataset.key;
}

const machine = (name, what = "") => `machines/${encodeURIComponent(name)}${what}`;

// attempt asks for something about a machine, and says why it was not done. It returns
// the answer if it was.
async function attempt(name, method, path, why, not, body) {
  if (asking.has(name)) return undefined;
  asking.add(name);
  try {
    const answer = await ask(method, path, why, body);
    if (answer?.ok) return answer;
    if (answer !== null) say(`${name} was not ${not}: ${await problem(answer)}`, "bad");
  } catch {
    say(`${name} was not ${not}: the porter cannot be reached.`, "bad");
  } finally {
    asking.delete(name);
    soon();
  }
  return undefined;
}

async function wake(name) {
  const answer = await attempt(name, "POST", machine(name, "/wake"), "Waking", "woken");
  if (answer === undefined) return false;
  const { state } = await answer.json();
  if (state === "awake") {
    say(`${name} counts as awake. A magic packet was sent anyway.`);
    return true;
  }
  awaited.add(name);
  if (state === "settling") say(`${name} is going to sleep. It is woken when it sleeps.`);
  else say(`${name} is being woken.`);
  return true;
}

async function wakeAll(group) {
  const asleep = group.querySelectorAll(':scope > ul > [data-state="asleep"]');
  let woken = 0;
  for (const row of asleep) {
    if (!(await wake(row.dataset.key))) return;
    woken++;
  }
  say(woken === 0 ? "All machines of the group are awake." : `${woken} machine${woken === 1 ? " is" : "s are"} being woken.`);
}

async function forget(name) {
  const why = "nightporter stops answering for it and waking it, and deletes its history. A machine in the configuration comes back. Any other machine comes back when it registers again.";
  if (!(await sure(`Forget ${name}?`, why, "Forget"))) return;
  if ((await attempt(name, "DELETE", machine(name), "Forgetting", "forgotten")) !== undefined) say(`${name} is forgotten.`, "good");
}

async function pause(name, time) {
  const answer = await attempt(name, "POST", machine(name, "/pause"), "Pausing", "paused", { for: time });
  if (answer !== undefined) say(`${name} is paused for ${time}.`);
}

async function resume(name) {
  if ((await attempt(name, "DELETE", machine(name, "/pause"), "Resuming", "resumed")) !== undefined) say(`${name} is no longer paused.`);
}

// heard tells how a wake ended that was asked for here.
export function heard(event) {
  if (!awaited.has(event.machine)) return;
  if (event.kind === "ready" && event.not_ready) {
    say(`${event.machine} is awake, but not every service is ready.`, "bad");
  } else if (event.kind === "ready") {
    say(`${event.machine} is awake${event.ready_seconds ? ` after ${event.ready_seconds.toFixed(1)} s` : ""}.`, "good");
  } else if (event.kind === "failed") {
    const rounds = event.attempts ?? 0;
    say(`${event.machine} did not wake: no answer to ${rounds} round${rounds === 1 ? "" : "s"} of magic packets.`, "bad");
  } else {
    return;
  }
  awaited.delete(event.machine);
}

// Without TLS a page has no navigator.clipboard.
async function copy(button) {
  const text = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch {
    getSelection().selectAllChildren(text);
    document.execCommand("copy");
  }
  say("Copied.", "good");
}
