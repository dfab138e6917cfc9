"use strict";
// Open pages follow the figures: what people opened, wrote or scrolled to stays as it is, and
// pictures that cannot be had are left away.
const isField = (node) => /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName);
const writes = (node) => node === document.activeElement && isField(node);
// Chosen or typed for a form that sends something, and not sent yet: until then nobody else has it.
const waits = (node, coming) => {
  if (!isField(node) || !node.id || node.id !== coming.id || node.form?.method !== "post") return false;
  if (node.tagName !== "SELECT") return node.value !== node.defaultValue;
  return node.selectedIndex !== Math.max(0, [...node.options].findIndex((each) => each.defaultSelected));
};
Object.assign(Idiomorph.defaults.callbacks, {
  // A section that somebody opened or closed stays so; a drawn chart is drawn anew by qa.js.
  beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  // Idiomorph's ignoreActiveValue would leave all of a card as it was that has the focus.
  beforeNodeMorphed: (node, coming) => {
    if (writes(node) || waits(node, coming)) return false;
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
