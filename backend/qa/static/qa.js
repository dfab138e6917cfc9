"use strict";
// Draws the charts in the page's colours, again when figures or the system's light and dark change.
(function () {
  const drawn = new Map();
  const draw = (anew) => {
    const source = document.getElementById("charts");
    const specs = source ? JSON.parse(source.textContent) : {};
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const config = {
      background: "transparent",
      font: "system-ui, sans-serif",
      view: { stroke: null },
      axis: {
        labelColor: colour("--soft"), titleColor: colour("--soft"), gridColor: colour("--line"),
        domainColor: colour("--line"), tickColor: colour("--line"), labelFontSize: 12,
        titleFontSize: 12, titleFontWeight: "normal",
      },
      line: { color: colour("--accent") }, area: { color: colour("--accent") },
      point: { color: colour("--accent") }, rule: { color: colour("--accent") },
    };
    for (const [name, spec] of Object.entries(specs)) {
      const place = document.getElementById("chart-" + name);
      const text = JSON.stringify(spec);
      if (!place || (!anew && drawn.get(place) === text)) continue;
      drawn.set(place, text);
      vegaEmbed(place, spec, { actions: false, renderer: "svg", config, ast: true })
        .then(() => place.setAttribute("data-drawn", ""));
    }
  };
  draw(true);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
  document.addEventListener("htmx:afterSettle", () => draw(false));
  // A chart in a closed section has no width: it is drawn again when the section opens.
  document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);
})();
