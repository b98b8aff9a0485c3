// Refreshes the page in place, keeping focus, scroll and selection, and puts a button beside what is there to be copied.
// Without this script the pages say the same, and are read again by hand.
"use strict";

const EVERY = 15_000; // milliseconds
const WHY = {
  401: "You are signed out: load this page again.",
  404: "This page is not on the board any more.",
};

function makeCopiers(root) {
  for (const code of root.querySelectorAll("code.copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copier";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${code.textContent}`);
    button.addEventListener("click", async () => {
      button.textContent = (await copy(code)) ? "Copied" : "Selected";
    });
    code.after(button);
  }
}

// The clipboard is closed to pages without TLS that are not the loopback's: then the text is selected, for Ctrl-C.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}

function isBusy() {
  return document.hidden || String(getSelection()) !== "";
}

function put(fresh) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const made = fresh.querySelector(`[data-live="${old.dataset.live}"]`);
    if (made === null || made.outerHTML === old.dataset.source) continue;
    const source = made.outerHTML;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    old.replaceChildren(...made.childNodes);
    old.dataset.source = source;
    makeCopiers(old);
    if (focused !== null) findAgain(old, focused)?.focus({ preventScroll: true });
  }
  document.title = fresh.title;
}

function findAgain(root, focused) {
  const alike = (one) => one.getAttribute("href") === focused.getAttribute("href") && one.textContent === focused.textContent;
  return focused.id ? document.getElementById(focused.id) : [...root.querySelectorAll(focused.tagName)].find(alike);
}

// Without a word, an old page would be taken for the newest.
function say(text) {
  const told = document.getElementById("stale");
  if (text === "") return told?.remove();
  const place = told ?? document.createElement("p");
  if (place.textContent === text) return;
  place.id = "stale";
  place.className = "problem";
  place.setAttribute("role", "status");
  place.textContent = text;
  document.getElementById("main").prepend(place);
}

async function refresh() {
  if (isBusy()) return;
  try {
    const answer = await fetch(location.href, { cache: "no-cache", redirect: "error" });
    if (document.querySelector("[data-live]") === null) return answer.ok && location.reload();
    if (!answer.ok) return say(WHY[answer.status] ?? "The board cannot be read at this moment: this page is not the newest.");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [left, top] = [scrollX, scrollY];
    if (isBusy()) return;
    say("");
    put(fresh);
    scrollTo({ left, top, behavior: "instant" });
  } catch {
    say("The board does not answer: this page is not the newest.");
  }
}

for (const live of document.querySelectorAll("[data-live]")) live.dataset.source = live.outerHTML;
makeCopiers(document);
if (location.protocol !== "file:") {
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);
  addEventListener("conveyor-refresh", refresh);
}
