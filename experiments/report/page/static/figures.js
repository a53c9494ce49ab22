"use strict";
// Figures come without colours; they take the page's, and change with its light or dark mode.
const Figures = {
  drawn: [],
  css(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  },
  colour(index) {
    return Figures.css("--c" + (index % 9));
  },
  layout(own) {
    const axis = { gridcolor: Figures.css("--grid"), linecolor: Figures.css("--line"), zeroline: false, automargin: true };
    return {
      ...own,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: Figures.css("--ink"), size: 12, family: "system-ui, DejaVu Sans, sans-serif" },
      margin: { l: 48, r: 12, t: 8, b: 40 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      hoverlabel: { namelength: -1 },
      xaxis: { ...axis, ...own.xaxis },
      yaxis: { ...axis, ...own.yaxis },
    };
  },
  traces(data) {
    return data.map(({ colour, ...trace }) => {
      const ink = Figures.colour(colour);
      return { ...trace, line: { color: ink, width: 2, dash: colour > 8 ? "dot" : "solid" }, marker: { color: ink, ...trace.marker } };
    });
  },
  draw(element, figure) {
    const config = { responsive: true, displayModeBar: false };
    Plotly.react(element, Figures.traces(figure.data), Figures.layout(figure.layout), config);
    if (!Figures.drawn.some((item) => item.element === element)) Figures.drawn.push({ element, figure });
    else Figures.drawn.find((item) => item.element === element).figure = figure;
  },
  redraw() {
    Figures.drawn.forEach(({ element, figure }) => Figures.draw(element, figure));
  },
};
