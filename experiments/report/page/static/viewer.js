"use strict";
// Pictures with truth and the boxes of every prediction file as layers; the fusion viewer shows two, before and
// after, and links a fused box with the boxes it was made of.
class Viewer {
  constructor(root, data, name) {
    this.root = root;
    this.data = data;
    this.images = data.viewers[name];
    this.paired = name === "fusion";
    this.place = 0;
    this.score = data.threshold;
    this.chosen = null;
    const names = data.pr.map((shown) => shown.name);
    this.layers = ["truth", ...names].map((layer, index) => ({
      name: layer,
      colour: index === 0 ? "--truth" : `--v${(index - 1) % 9}`,
      // Before fusion the best member, which the images were chosen by; more would hide the picture.
      shown: index === 0 || (this.paired ? index <= 2 : layer === data.best),
    }));
    this.build();
    this.show();
  }

  build() {
    const controls = this.element("div", "controls");
    this.previous = this.button("Previous", () => this.step(-1));
    this.picker = this.element("select");
    this.picker.setAttribute("aria-label", "Image");
    this.images.forEach((image, index) => {
      this.picker.add(new Option(`${index + 1} of ${this.images.length}: ${this.picture(image).file_name}`, index));
    });
    this.picker.addEventListener("change", () => this.go(Number(this.picker.value)));
    this.next = this.button("Next", () => this.step(1));
    controls.append(this.previous, this.next, this.picker, this.scoreControl());
    this.summary = this.element("p", "note");
    this.summary.setAttribute("aria-live", "polite");
    this.stages = this.element("div", "stages");
    this.panes = (this.paired ? ["Before: members", "After: fusion"] : [""]).map((title) => this.pane(title));
    this.stages.append(...this.panes.map((pane) => pane.figure));
    this.root.append(controls, this.layerControls(), this.summary, this.stages);
    if (this.paired) {
      this.sources = this.element("div", "scroll");
      this.root.append(this.sources);
    }
    this.root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.scaleText()).observe(this.stages);
  }

  element(kind, name) {
    const element = document.createElement(kind);
    if (name) element.className = name;
    return element;
  }

  button(text, action) {
    const button = this.element("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", action);
    return button;
  }

  scoreControl() {
    const label = this.element("label");
    this.slider = this.element("input");
    Object.assign(this.slider, { type: "range", min: 0.05, max: 1, step: 0.01, value: this.score });
    this.slider.className = "score";
    this.output = this.element("output");
    this.slider.addEventListener("input", () => this.setScore(Number(this.slider.value)));
    label.append("Score \u2265", this.slider, this.output);
    return label;
  }

  layerControls() {
    const controls = this.element("div", "controls");
    this.layers.forEach((layer, index) => {
      const label = this.element("label");
      const box = this.element("input");
      Object.assign(box, { type: "checkbox", checked: layer.shown });
      box.dataset.layer = layer.name;
      box.addEventListener("change", () => {
        layer.shown = box.checked;
        this.draw();
      });
      layer.box = box;
      const swatch = this.element("span", "swatch");
      swatch.style.color = `var(${layer.colour})`;
      label.append(box, swatch, index < 10 ? `${index} ${layer.name}` : layer.name);
      controls.append(label);
    });
    return controls;
  }

  pane(title) {
    const figure = this.element("figure", "stage");
    if (title) {
      const caption = this.element("figcaption");
      caption.textContent = title;
      figure.append(caption);
    }
    const svg = Viewer.svg("svg", { role: "img" });
    figure.append(svg);
    return { figure, svg };
  }

  static svg(kind, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    return element;
  }

  picture(image) {
    return this.data.pictures[image.id];
  }

  step(by) {
    this.go((this.place + by + this.images.length) % this.images.length);
  }

  go(place) {
    this.place = place;
    this.show();
  }

  setScore(score) {
    this.score = Math.min(1, Math.max(0.05, score));
    this.draw();
  }

  key(event) {
    const typing = event.target.matches("input[type=range], select");
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    const layer = /^[0-9]$/.test(event.key) ? this.layers[Number(event.key)] : null;
    if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "+" || event.key === "=") this.setScore(this.score + 0.05);
    else if (event.key === "-") this.setScore(this.score - 0.05);
    else if (layer) {
      layer.shown = !layer.shown;
      layer.box.checked = layer.shown;
      this.draw();
    } else return;
    event.preventDefault();
  }

  show() {
    const { uri, width, height, file_name } = this.picture(this.images[this.place]);
    this.chosen = null;
    this.picker.value = this.place;
    this.panes.forEach(({ svg }) => {
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.setAttribute("aria-label", file_name);
      svg.replaceChildren(Viewer.svg("image", { href: uri, width, height }), Viewer.svg("g", { class: "boxes" }));
    });
    this.draw();
  }

  // Which layers a pane may show: members before fusion on the left, the fusion on the right.
  belongs(layer, pane) {
    if (!this.paired || layer.name === "truth") return true;
    return (layer.name === "fusion") === (pane === 1);
  }

  // The sources of a chosen box are drawn whether their member is switched on or not.
  draws(layer, pane) {
    const asked = this.paired && this.chosen !== null && pane === 0 && layer.name !== "truth";
    return (layer.shown || asked) && this.belongs(layer, pane);
  }

  draw() {
    const image = this.images[this.place];
    this.slider.value = this.score;
    this.output.value = this.score.toFixed(2);
    this.panes.forEach(({ svg }, pane) => {
      const group = svg.querySelector(".boxes");
      group.replaceChildren();
      this.layers.filter((layer) => this.draws(layer, pane)).forEach((layer) => {
        if (layer.name === "truth") image.truth.forEach((box) => this.truthBox(group, box));
        else image.layers[layer.name].forEach((box, index) => this.scoredBox(group, layer, box, index, pane));
      });
    });
    this.summarize(image);
    if (this.paired) this.listSources(image);
    this.scaleText();
  }

  className(index) {
    return index < 0 ? "unknown class" : this.data.classes[index];
  }

  truthBox(group, [xmin, ymin, xmax, ymax, label, foundAt]) {
    const missed = foundAt < this.score;
    const text = `truth: ${this.className(label)}${missed ? ", missed" : ""}`;
    this.rectangle(group, [xmin, ymin, xmax, ymax], "--truth", missed, text);
    this.tag(group, xmin, ymax, this.className(label), "below", "--truth");
  }

  scoredBox(group, layer, box, index, pane) {
    const [xmin, ymin, xmax, ymax, label, score, hit] = box;
    const state = this.stateOf(layer, index, pane);
    if ((score < this.score || !layer.shown) && state !== "chosen") return;
    const text = `${layer.name}: ${this.className(label)} ${score.toFixed(2)}${hit ? "" : ", false"}`;
    const rectangle = this.rectangle(group, [xmin, ymin, xmax, ymax], layer.colour, !hit, text);
    if (state !== "faded") this.tag(group, xmin, ymin, `${this.className(label)} ${score.toFixed(2)}`, "above", layer.colour);
    if (this.paired && pane === 1) this.makeChoosable(rectangle, index, text);
    if (state) [rectangle, rectangle.previousSibling].forEach((part) => part.classList.add(state));
  }

  // While a fused box is chosen, it and its sources stand out from the others.
  stateOf(layer, index, pane) {
    if (!this.paired || this.chosen === null) return "";
    const stands = pane === 1
      ? this.chosen === index
      : this.sourcesOf(this.chosen).some((source) => source.member === layer.name && source.index === index);
    return stands ? "chosen" : "faded";
  }

  makeChoosable(rectangle, index, text) {
    Object.entries({ tabindex: 0, role: "button", "aria-label": text, "data-index": index }).forEach(([k, v]) => rectangle.setAttribute(k, v));
    const choose = () => {
      this.chosen = this.chosen === index ? null : index;
      this.draw();
      const again = this.panes[1].svg.querySelector(`[data-index="${index}"]`);
      if (again) again.focus();
    };
    rectangle.addEventListener("click", choose);
    rectangle.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
  }

  rectangle(group, [xmin, ymin, xmax, ymax], colour, dashed, text) {
    const place = { x: xmin, y: ymin, width: Math.max(xmax - xmin, 0.5), height: Math.max(ymax - ymin, 0.5) };
    const box = Viewer.svg("rect", { ...place, class: dashed ? "box dashed" : "box", stroke: `var(${colour})` });
    const title = Viewer.svg("title", {});
    title.textContent = text;
    box.append(title);
    group.append(Viewer.svg("rect", { ...place, class: "casing" }), box);
    return box;
  }

  tag(group, x, y, text, side, colour) {
    const tag = Viewer.svg("text", { class: "tag", x, y, fill: `var(${colour})`, "data-side": side });
    tag.textContent = text;
    group.append(tag);
  }

  // Text keeps its size on screen, whatever the picture's own size is.
  scaleText() {
    const { width, height } = this.picture(this.images[this.place]);
    this.panes.forEach(({ svg }) => {
      const box = svg.getBoundingClientRect();
      const scale = Math.min(box.width / width, box.height / height) || 1;
      const size = 11.5 / scale;
      svg.querySelectorAll(".tag").forEach((tag) => {
        tag.setAttribute("font-size", size);
        tag.setAttribute("stroke-width", size / 4);
        tag.setAttribute("dy", tag.dataset.side === "above" ? -size / 3 : size);
        const top = Number(tag.getAttribute("y"));
        if (tag.dataset.side === "above" && top < size * 1.3) tag.setAttribute("dy", size * 1.1);
        if (tag.dataset.side === "below" && top > height - size * 1.3) tag.setAttribute("dy", -size / 3);
      });
    });
  }

  errors(image, name) {
    const kept = image.layers[name].filter((box) => box[5] >= this.score);
    return { boxes: kept.length, wrong: kept.filter((box) => !box[6]).length };
  }

  summarize(image) {
    const best = this.data.best;
    const missed = image.truth.filter((box) => box[5] < this.score).length;
    const parts = this.data.pr.map(({ name }) => {
      const { boxes, wrong } = this.errors(image, name);
      return `${name} ${boxes} boxes, ${wrong} false`;
    });
    this.summary.textContent = `${image.truth.length} truth boxes, ${missed} missed by ${best} at ${this.score.toFixed(2)}. ${parts.join("; ")}.`;
  }

  sourcesOf(index) {
    const box = this.images[this.place].layers.fusion[index];
    return (box && box[7]) || [];
  }

  listSources(image) {
    this.sources.replaceChildren();
    if (this.chosen === null) return;
    const rows = this.sourcesOf(this.chosen);
    const fused = image.layers.fusion[this.chosen];
    const table = this.element("table", "sources");
    const caption = table.createCaption();
    caption.textContent = `${this.className(fused[4])} ${fused[5].toFixed(3)} was made of ${rows.length} boxes`;
    const head = table.createTHead().insertRow();
    ["member", "score", "IoU with the fused box"].forEach((text) => {
      const cell = this.element("th");
      cell.scope = "col";
      cell.textContent = text;
      head.append(cell);
    });
    const body = table.createTBody();
    rows.forEach((row) => {
      const line = body.insertRow();
      [row.member, row.score.toFixed(3), row.iou.toFixed(3)].forEach((text) => (line.insertCell().textContent = text));
    });
    this.sources.append(table);
  }
}
