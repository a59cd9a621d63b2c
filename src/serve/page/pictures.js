// The pictures of the question that is being written: added by a file dialog, dropped, pasted or taken by the camera.

import { Failure } from "./server.js";

const readByServer = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];
const mostBytes = 16 << 20; // larger files are made smaller before they are sent
const longestSide = 4096;

function dataUrlOf(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Failure("The browser can't read that file."));
    reader.readAsDataURL(blob);
  });
}

/** The picture as the browser shows it, as a JPEG of at most 4096 pixels a side. */
async function redrawn(file) {
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, longestSide / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("empty"))), "image/jpeg", 0.92);
  });
}

async function urlOf(file) {
  if (readByServer.includes(file.type) && file.size <= mostBytes) return dataUrlOf(file);
  try {
    return await dataUrlOf(await redrawn(file));
  } catch {
    throw new Failure(`${file.name || "That file"} is not a picture that this browser can read.`);
  }
}

export class Pictures {
  /**
   * @param {HTMLElement} list where they are shown  @param {(sentence: string) => void} tell for a screen reader
   * @param {(failure: Error) => void} fail
   */
  constructor(list, tell, fail) {
    this.list = list;
    this.tell = tell;
    this.fail = fail;
    this.chosen = [];
  }

  async add(files) {
    for (const file of files) {
      try {
        this.chosen.push({ name: file.name || "picture", url: await urlOf(file) });
      } catch (failure) {
        this.fail(failure);
      }
    }
    this.show();
    if (this.chosen.length > 0) this.tell(`The question has ${countOf(this.chosen.length)}.`);
  }

  /** Pictures of a question that was not answered come back. */
  put(pictures) {
    this.chosen = [...pictures, ...this.chosen];
    this.show();
  }

  /** Gives the pictures away; none are left. */
  take() {
    const taken = this.chosen;
    this.chosen = [];
    this.show();
    return taken;
  }

  show() {
    this.list.replaceChildren(...this.chosen.map((picture, index) => this.entry(picture, index)));
  }

  entry(picture, index) {
    const item = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${picture.name}`);
    remove.addEventListener("click", () => this.remove(index));
    item.append(thumbnailOf(picture), remove);
    return item;
  }

  remove(index) {
    this.chosen.splice(index, 1);
    this.show();
    const next = this.list.querySelectorAll("button")[Math.min(index, this.chosen.length - 1)];
    (next || document.getElementById("add-pictures")).focus();
    this.tell(this.chosen.length > 0 ? `The question has ${countOf(this.chosen.length)}.` : "The question has no picture.");
  }
}

function countOf(pictures) {
  return pictures === 1 ? "1 picture" : `${pictures} pictures`;
}

export function thumbnailOf(picture) {
  const image = document.createElement("img");
  image.src = picture.url;
  image.alt = picture.name;
  return image;
}

/** Pictures that are dropped on the page or pasted go to `take`. */
export function watchPage(take) {
  const hint = document.getElementById("drop-here");
  const isFiles = (event) => [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    hint.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) hint.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    hint.hidden = true;
    if (!isFiles(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
}
