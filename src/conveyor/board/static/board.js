// Refreshes the page in place, keeping focus, scroll and selection, and puts a button beside what is there to be copied.
// Without this script the pages say the same, and are read again by hand.
"use strict";

const EVERY = 15_000; // milliseconds

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

async function refresh() {
  if (isBusy()) return;
  try {
    const answer = await fetch(location.href, { cache: "no-cache", redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [left, top] = [scrollX, scrollY];
    if (isBusy()) return;
    put(fresh);
    scrollTo({ left, top, behavior: "instant" });
  } catch {
    // The server is not there at this moment; the page says of what time it is.
  }
}

for (const live of document.querySelectorAll("[data-live]")) live.dataset.source = live.outerHTML;
makeCopiers(document);
setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", refresh);
addEventListener("conveyor-refresh", refresh);
