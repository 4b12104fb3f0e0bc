// What came of a click.

const said = document.getElementById("said");
const words = said.querySelector("p");
const stays = 10_000; // ms, for what is no problem

let over;

export function say(text, mood = "") {
  said.className = `said ${mood}`;
  words.textContent = text;
  clearTimeout(over);
  if (mood !== "bad") over = setTimeout(hush, stays);
}

export function hush() {
  clearTimeout(over);
  said.className = "";
  words.textContent = "";
}

said.querySelector("button").addEventListener("click", hush);
document.addEventListener("keydown", (key) => {
  if (key.key === "Escape" && document.querySelector("dialog[open]") === null) hush();
});
