"use strict";
// Precision-recall curves of one prediction file; the threshold marks each curve and fills the table.
const PrecisionRecall = {
  start(data) {
    const select = document.getElementById("pr-predictions");
    data.pr.forEach((shown, index) => select.add(new Option(shown.name, index)));
    const slider = document.getElementById("pr-threshold");
    slider.value = data.threshold;
    const update = () => PrecisionRecall.update(data.pr[select.value], Number(slider.value));
    select.addEventListener("change", update);
    slider.addEventListener("input", update);
    update();
    document.getElementById("pr-figure").on("plotly_click", (event) => {
      const score = event.points[0].customdata;
      if (score === undefined) return;
      slider.value = score;
      update();
    });
  },
  at(entry, threshold) {
    const place = Math.round(threshold * 100);
    const found = entry.found[place], seen = entry.seen[place];
    const precision = seen ? found / seen : null, recall = found / entry.truth;
    const f1 = seen ? (2 * found) / (seen + entry.truth) : 0;
    return { found, seen, precision, recall, f1 };
  },
  update(shown, threshold) {
    document.getElementById("pr-value").value = threshold.toFixed(2);
    const points = shown.classes.map((entry) => PrecisionRecall.at(entry, threshold));
    const curves = shown.classes.map((entry, index) => ({
      type: "scatter", mode: "lines", name: entry.name, legendgroup: entry.name, colour: index,
      x: entry.recall, y: entry.precision, customdata: entry.score,
      hovertemplate: "recall %{x:.3f}, precision %{y:.3f}, score %{customdata:.3f}",
    }));
    const marks = shown.classes.map((entry, index) => ({
      type: "scatter", mode: "markers", name: entry.name, legendgroup: entry.name, showlegend: false, colour: index,
      x: [points[index].recall], y: [points[index].precision], marker: { size: 11, line: { width: 2, color: Figures.css("--card") } },
      hovertemplate: `at ${threshold.toFixed(2)}: recall %{x:.3f}, precision %{y:.3f}`,
    }));
    const axis = (title) => ({ title: { text: title }, range: [-0.02, 1.04] });
    const figure = { data: [...curves, ...marks], layout: { xaxis: axis("recall"), yaxis: axis("precision"), uirevision: "keep" } };
    Figures.draw(document.getElementById("pr-figure"), figure);
    PrecisionRecall.table(shown, points);
  },
  table(shown, points) {
    const number = (value) => (value === null ? "-" : value.toFixed(3));
    const rows = shown.classes.map((entry, index) => {
      const p = points[index];
      return [entry.name, number(p.precision), number(p.recall), number(p.f1), `${p.found} of ${entry.truth}`, p.seen - p.found];
    });
    const table = document.getElementById("pr-table");
    table.replaceChildren();
    const head = table.createTHead().insertRow();
    ["class", "precision", "recall", "F1", "found", "false"].forEach((text) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = text;
      head.append(cell);
    });
    const body = table.createTBody();
    rows.forEach((row) => {
      const line = body.insertRow();
      row.forEach((text) => (line.insertCell().textContent = text));
    });
  },
};
