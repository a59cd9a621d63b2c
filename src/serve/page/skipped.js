// The panel beside the chat: which patches each layer kept, over the picture.

import { PicturePatches, draw } from "./patches.js";

const part = (id) => document.getElementById(id);
const drawing = "http://www.w3.org/2000/svg";

function options(select, names) {
  select.replaceChildren(...names.map((name, index) => new Option(name, index)));
}

function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export class SkippedPanel {
  constructor() {
    this.pictures = [];
    part("which-picture").addEventListener("change", () => this.showPicture());
    part("which-view").addEventListener("change", () => this.redraw());
    part("layer").addEventListener("input", () => this.redraw());
    part("show-overlay").addEventListener("change", () => this.redraw());
    part("bars").addEventListener("click", (event) => this.pick(event));
    part("seen").addEventListener("load", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(part("stage"));
  }

  /** @param {object} patches "kept_patches" of a reply  @param {{name, url}[]} pictures of its request  @param {string} title */
  show(patches, pictures, title) {
    const any = pictures.length > 0 && patches.pictures.length === pictures.length;
    part("nothing").hidden = any;
    part("shown").hidden = !any;
    if (!any) return;
    this.patches = patches;
    this.given = pictures;
    this.pictures = patches.pictures.map((picture) => new PicturePatches(picture));
    part("of-answer").textContent = title;
    options(part("which-picture"), pictures.map((picture, index) => `${index + 1}: ${picture.name}`));
    part("picture-choice").hidden = pictures.length < 2;
    part("layer").max = patches.layers - 1;
    const without = patches.without_attention;
    part("without-attention").textContent =
      without.length > 0
        ? `${plural(without.length, "layer")} without attention: ${without.join(", ")}.`
        : "Every layer has attention.";
    this.showPicture();
  }

  clear() {
    part("nothing").hidden = false;
    part("shown").hidden = true;
    this.pictures = [];
  }

  get picture() {
    return this.pictures[Number(part("which-picture").value) || 0];
  }

  showPicture() {
    const { picture } = this;
    const index = this.pictures.indexOf(picture);
    part("seen").src = this.given[index].url;
    part("seen").alt = this.given[index].name;
    part("stage").style.aspectRatio = `${picture.size.width} / ${picture.size.height}`; // before the picture is loaded
    const names = picture.views.map((view, index) => `${index === 0 ? "whole picture" : "tiles"}, ${view.columns} × ${view.rows} patches`);
    options(part("which-view"), names);
    part("view-choice").hidden = names.length < 2;
    part("which-view").value = String(Math.max(0, names.length - 1));
    const first = [...picture.byLayer.keys()].sort((a, b) => a - b)[0];
    part("layer").value = String(first ?? 0);
    this.fillTable();
    this.redraw();
  }

  sentenceOf(layer) {
    const counts = this.picture.counts(layer);
    const off = this.patches.without_attention.includes(layer) ? " Its attention is off." : "";
    if (!counts) return `Layer ${layer} of 0 to ${this.patches.layers - 1}: keeps every patch.${off}`;
    const only = counts.offered > 0 ? `, ${counts.offered} only give keys and values` : "";
    const unseen = this.picture.isDrawn(layer) ? "" : " The reply does not say which ones.";
    return `Layer ${layer} of 0 to ${this.patches.layers - 1}: ${counts.kept} of ${counts.tokens} patches kept${only}, ${counts.dropped} dropped.${unseen}${off}`;
  }

  redraw() {
    if (!this.picture) return;
    const slider = part("layer");
    const layer = Number(slider.value);
    const sentence = this.sentenceOf(layer);
    part("layer-says").textContent = sentence;
    slider.setAttribute("aria-valuetext", sentence);
    const view = this.picture.views[Number(part("which-view").value) || 0];
    const canvas = part("overlay");
    canvas.hidden = !part("show-overlay").checked || !view;
    canvas.setAttribute("aria-label", sentence);
    const scale = window.devicePixelRatio || 1;
    const { width, height } = part("stage").getBoundingClientRect();
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    if (!canvas.hidden) draw(canvas, this.picture, view, layer);
    this.drawBars(layer);
  }

  drawBars(here) {
    const bars = part("bars");
    const { layers, without_attention: without } = this.patches;
    bars.setAttribute("viewBox", `0 0 ${layers} 10`);
    const bar = (layer, height, kind) => {
      const rectangle = document.createElementNS(drawing, "rect");
      rectangle.setAttribute("x", layer + 0.1);
      rectangle.setAttribute("width", 0.8);
      rectangle.setAttribute("y", 10 - height);
      rectangle.setAttribute("height", height);
      rectangle.setAttribute("class", kind);
      return rectangle;
    };
    const all = [];
    for (let layer = 0; layer < layers; ++layer) {
      all.push(bar(layer, 10, "ground"));
      all.push(bar(layer, 10 * this.picture.share(layer), without.includes(layer) ? "no-attention" : "kept"));
    }
    bars.replaceChildren(...all, bar(here, 10, "here"));
  }

  /** A click on the bars moves the slider, which the keyboard reaches by itself. */
  pick(event) {
    const box = part("bars").getBoundingClientRect();
    const layer = Math.floor(((event.clientX - box.left) / box.width) * this.patches.layers);
    part("layer").value = String(layer);
    this.redraw();
  }

  fillTable() {
    const rows = [];
    for (let layer = 0; layer < this.patches.layers; ++layer) {
      const counts = this.picture.counts(layer);
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = layer;
      const off = this.patches.without_attention.includes(layer);
      const cells = counts ? [`${counts.kept} of ${counts.tokens}`, counts.offered, counts.dropped] : ["all", 0, 0];
      row.append(head);
      for (const text of [...cells, off ? "off" : "on"]) row.insertCell().textContent = text;
      rows.push(row);
    }
    document.querySelector("#layers tbody").replaceChildren(...rows);
  }
}
