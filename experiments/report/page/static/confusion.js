"use strict";
// A table of buttons: each cell opens crops of the boxes that it counts.
const Confusion = {
  start(data) {
    const { classes, counts, crops } = data.confusion;
    const names = [...classes, "nothing"];
    const table = document.getElementById("confusion-matrix");
    const head = table.createTHead().insertRow();
    ["truth \\ predicted", ...names].forEach((name) => Confusion.heading(head, name, "col"));
    const body = table.createTBody();
    counts.forEach((row, truth) => {
      const line = body.insertRow();
      Confusion.heading(line, names[truth], "row");
      const total = row.reduce((sum, count) => sum + count, 0) || 1;
      row.forEach((count, predicted) => {
        const cell = line.insertCell();
        if (truth === predicted) cell.className = "diagonal";
        const button = document.createElement("button");
        button.textContent = count;
        button.disabled = count === 0;
        button.style.setProperty("--share", (count / total).toFixed(3));
        if (truth === classes.length && predicted === classes.length) button.className = "empty";
        const what = `truth ${names[truth]}, predicted ${names[predicted]}`;
        button.setAttribute("aria-label", `${what}: ${count}`);
        button.addEventListener("click", () => Confusion.open(`${what}: ${count}`, crops[`${truth},${predicted}`] || []));
        cell.append(button);
      });
    });
  },
  heading(row, text, scope) {
    const cell = document.createElement("th");
    cell.scope = scope;
    cell.textContent = text;
    row.append(cell);
  },
  open(title, crops) {
    const dialog = document.getElementById("crops");
    dialog.querySelector("h3").textContent = title;
    const shelf = dialog.querySelector(".crops");
    shelf.replaceChildren(...crops.map(Confusion.figure));
    if (!crops.length) shelf.textContent = "No crops: the pictures could not be read, or too many cells are filled.";
    dialog.showModal();
  },
  figure(crop) {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = crop.uri;
    image.alt = "";
    const caption = document.createElement("figcaption");
    caption.textContent = crop.score === null ? crop.file_name : `${crop.file_name}, score ${crop.score}`;
    figure.append(image, caption);
    return figure;
  },
};
