// What the porter is asked to do, and the token for that.

const tokenKey = "nightporter-token";
const patience = 10_000;
const tokenDialog = document.getElementById("ask");
const sureDialog = document.getElementById("sure");

// ask asks the porter for something. It returns the answer, or null if the user would
// not give a token. The address is relative: the page may be under a path of a proxy.
export async function ask(method, path, why, body) {
  for (let wrong = false; ; wrong = true) {
    const answer = await fetch(`api/v1/${path}`, {
      method,
      headers: { ...tokenHeaders(), ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
    if (answer.status !== 401) return answer;
    const known = forgetToken();
    if (!(await askToken(wrong || known ? "Wrong token." : "", why))) return null;
  }
}

// problem says why something was not done.
export async function problem(answer) {
  const after = answer.headers.get("Retry-After");
  if (answer.status === 429) return `too many requests from here. Try again in ${after ?? "some"} s.`;
  if (answer.status === 503) return "the porter did not answer in time. Try again.";
  const body = await answer.json().catch(() => ({}));
  return body.error ?? `status ${answer.status}`;
}

function token() {
  return sessionStorage.getItem(tokenKey) ?? localStorage.getItem(tokenKey);
}

// The token is sent as its UTF-8; a header takes a character for each byte.
function tokenHeaders() {
  const known = token();
  if (known === null) return {};
  return { "X-Nightporter-Token": String.fromCharCode(...new TextEncoder().encode(known)) };
}

// forgetToken drops a token that is not the right one, and tells whether there was one.
function forgetToken() {
  const known = token() !== null;
  sessionStorage.removeItem(tokenKey);
  localStorage.removeItem(tokenKey);
  return known;
}

let answered; // of a token

// askToken returns whether there is one now.
function askToken(wrong, why) {
  tokenDialog.querySelector("#ask-why").textContent = `${wrong} ${why} requires the token of this porter (http.token in its configuration).`.trim();
  const input = tokenDialog.querySelector("#token");
  input.value = "";
  tokenDialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    answered = resolve;
  });
}

tokenDialog.querySelector("form").addEventListener("submit", () => {
  const remember = tokenDialog.querySelector("#remember").checked;
  (remember ? localStorage : sessionStorage).setItem(tokenKey, tokenDialog.querySelector("#token").value);
  answered(true);
});
tokenDialog.querySelector("button[value=cancel]").addEventListener("click", () => tokenDialog.close());
tokenDialog.addEventListener("close", () => answered(false)); // to no effect after submit

// sure asks whether something is really meant.
export function sure(title, why, yes) {
  sureDialog.querySelector("#sure-title").textContent = title;
  sureDialog.querySelector("#sure-why").textContent = why;
  sureDialog.querySelector(".main").textContent = yes;
  sureDialog.returnValue = "no";
  sureDialog.showModal();
  return new Promise((resolve) => {
    sureDialog.addEventListener("close", () => resolve(sureDialog.returnValue === "yes"), { once: true });
  });
}
