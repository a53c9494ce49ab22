"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  document.querySelectorAll("[data-figure]").forEach((element) => {
    const [group, index] = element.dataset.figure.split("/");
    Figures.draw(element, data.figures[group][Number(index)]);
  });
  if (data.pr) PrecisionRecall.start(data);
  if (data.confusion) Confusion.start(data);
  document.querySelectorAll("[data-viewer]").forEach((root) => {
    root.viewer = new Viewer(root, data, root.dataset.viewer);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Figures.redraw());
  document.documentElement.dataset.ready = "yes";
})();
