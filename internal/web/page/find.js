// Which rows and notices are shown: those that are searched for, and not dismissed.

const main = document.querySelector("main");
const dismissedKey = "nightporter-dismissed";
const most = 200; // dismissed notices that are remembered

let only = ""; // the state that is shown; empty: all

function dismissed() {
  try {
    return JSON.parse(localStorage.getItem(dismissedKey)) ?? [];
  } catch {
    return [];
  }
}

export const isDismissed = (key) => dismissed().includes(key);

function dismiss(notice) {
  const all = [...dismissed().filter((key) => key !== notice.dataset.key), notice.dataset.key];
  localStorage.setItem(dismissedKey, JSON.stringify(all.slice(-most)));
  choose();
}

// choose hides what is not to be seen. The server does not know the choice, so it is done
// again whenever its page was taken over.
export function choose() {
  const gone = new Set(dismissed());
  for (const notice of main.querySelectorAll(".attention > li")) notice.hidden = gone.has(notice.dataset.key);
  const search = main.querySelector("#search");
  if (search === null) return;
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const group of main.querySelectorAll(".group")) {
    let here = 0;
    for (const row of group.querySelectorAll(":scope > ul > li")) {
      row.hidden = !(words.every((word) => row.dataset.search.includes(word)) && fits(row));
      if (!row.hidden) here++;
    }
    group.hidden = here === 0;
    shown += here;
  }
  main.querySelector(".nomatch").hidden = shown > 0;
  for (const chip of main.querySelectorAll(".chips button")) {
    chip.setAttribute("aria-pressed", String(chip.dataset.state === only));
  }
}

function fits(row) {
  if (only === "trouble") return row.dataset.trouble !== undefined;
  return only === "" || (row.dataset.state === "asleep") === (only === "asleep");
}

main.addEventListener("input", (input) => {
  if (input.target.id === "search") choose();
});
main.addEventListener("click", (click) => {
  const button = click.target.closest("button");
  if (button?.dataset.do === "dismiss") dismiss(button.closest("li"));
  if (button?.dataset.do !== "filter") return;
  only = only === button.dataset.state ? "" : button.dataset.state;
  choose();
});
document.addEventListener("keydown", (key) => {
  const search = main.querySelector("#search");
  if (search === null || !(key.key === "k" && (key.ctrlKey || key.metaKey))) return;
  key.preventDefault();
  search.focus();
});
choose();
