"use strict";
// Open pages follow the figures: what people opened, wrote or scrolled to stays as it is, and
// pictures that cannot be had are left away.
const writes = (node) => node === document.activeElement && /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName);
Object.assign(Idiomorph.defaults.callbacks, {
  // A section that somebody opened or closed stays so; a drawn chart is drawn anew by qa.js.
  beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  // Idiomorph's ignoreActiveValue would leave all of a card as it was that has the focus.
  beforeNodeMorphed: (node, coming) => {
    if (writes(node)) return false;
    if (!(node instanceof HTMLElement) || !node.classList.contains("chart") || node.id !== coming.id) return true;
    node.setAttribute("aria-label", coming.getAttribute("aria-label") || "");
    return false;
  },
});
function hideBroken() {
  for (const image of document.querySelectorAll(".stage img")) {
    if (image.complete && !image.naturalWidth && image.src) image.classList.add("broken");
  }
}
document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement) event.target.classList.add("broken");
}, true);
document.addEventListener("DOMContentLoaded", hideBroken);
document.addEventListener("htmx:afterSettle", hideBroken);
// Filters that choose nothing need not stand in the address.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  for (const [name, value] of [...detail.formData]) if (value === "") detail.formData.delete(name);
});
