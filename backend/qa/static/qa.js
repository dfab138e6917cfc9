"use strict";
// Draws the charts in the page's colours, again when the system changes between light and dark.
(function () {
  const source = document.getElementById("charts");
  if (source) {
    const specs = JSON.parse(source.textContent);
    const draw = () => {
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
        if (place) {
          vegaEmbed(place, spec, { actions: false, renderer: "svg", config, ast: true })
            .then(() => place.setAttribute("data-drawn", ""));
        }
      }
    };
    // A chart in a closed section has no width: it is drawn again when the section opens.
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    for (const section of document.querySelectorAll("details")) {
      section.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")));
    }
  }
  for (const image of document.querySelectorAll(".stage img")) {
    const hide = () => image.classList.add("broken");
    image.addEventListener("error", hide);
    if (image.complete && !image.naturalWidth && image.src) hide();
  }
})();
