"use strict";
// Keys of the review page: they press its buttons and follow its links, which do without them, too.
(function () {
  let keyed = false; // whether what comes now was asked for by a key
  let place = 0; // of the card that the keys are about, among those shown
  const cards = () => [...document.querySelectorAll("#review .card")];
  function current() {
    const shown = cards();
    const focused = shown.indexOf(document.activeElement?.closest(".card"));
    if (focused >= 0) place = focused;
    place = Math.max(0, Math.min(place, shown.length - 1));
    return shown[place];
  }
  function mark() {
    const chosen = current();
    for (const card of cards()) card.classList.toggle("current", card === chosen);
    return chosen;
  }
  function turn(step) {
    const shown = cards();
    mark();
    const next = shown[place + step];
    if (next) {
      place += step;
      next.focus();
      mark();
    } else {
      const link = document.querySelector(`#review a[rel=${step > 0 ? "next" : "prev"}]`);
      if (link) {
        place = step > 0 ? 0 : Infinity;
        link.click();
      }
    }
  }
  const writes = (node) =>
    node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName));
  document.addEventListener("keydown", (event) => {
    // Out of a note, back to the card: its keys say what the note is of.
    if (event.target.name === "note" && (event.key === "Escape" || event.key === "Enter")) {
      event.target.closest(".card").focus();
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || writes(event.target)) return;
    if (!document.getElementById("review")) return;
    const key = event.key.toLowerCase();
    if (key === "arrowright" || key === "arrowleft") turn(key === "arrowright" ? 1 : -1);
    else if (key === "f" || key === "x") mark()?.querySelector(`[data-key=${key}]`)?.click();
    else if (key === "u") document.querySelector("#review form.last [data-key=u]")?.click();
    else if (key === "o") mark()?.querySelector("a.whole")?.click();
    else return;
    keyed = true;
    event.preventDefault();
  });
  document.addEventListener("focusin", mark);
  document.addEventListener("DOMContentLoaded", mark);
  document.addEventListener("htmx:afterSettle", () => {
    const chosen = mark();
    if (document.activeElement === document.body) chosen?.focus({ preventScroll: true });
    if (keyed) chosen?.scrollIntoView({ block: "nearest" });
    keyed = false;
  });
})();
