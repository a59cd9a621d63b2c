// What "kept_patches" of a reply says, and how it is drawn. docs/serve.md describes the fields.

const fates = { kept: 0, offered: 1, dropped: 2 };

function bitsOf(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return (token) => (bytes[token >> 3] >> (token & 7)) & 1;
}

/** One picture, layer by layer. */
export class PicturePatches {
  constructor(picture) {
    this.size = { width: picture.width, height: picture.height };
    this.views = picture.views;
    this.byLayer = new Map();
    for (const map of picture.maps) {
      const kept = map.kept ? bitsOf(map.kept) : null;
      const offered = map.key_value ? bitsOf(map.key_value) : () => 0;
      for (const layer of map.layers) this.byLayer.set(layer, { ...map, isKept: kept, isOffered: offered });
    }
  }

  /** How many tokens of the picture a layer kept; null: all. */
  counts(layer) {
    const map = this.byLayer.get(layer);
    if (!map) return null;
    return {
      tokens: map.tokens,
      kept: map.kept_tokens,
      offered: map.key_value_tokens,
      dropped: map.tokens - map.kept_tokens - map.key_value_tokens,
    };
  }

  /** 0 to 1. */
  share(layer) {
    const counts = this.counts(layer);
    return counts ? counts.kept / counts.tokens : 1;
  }

  /** Whether the reply says which patches a layer kept, and not only how many. */
  isDrawn(layer) {
    const map = this.byLayer.get(layer);
    return !map || map.isKept !== null;
  }

  fateOf(layer, view, column, row) {
    const map = this.byLayer.get(layer);
    if (!map) return fates.kept;
    const token = tokenAt(view, column, row);
    if (map.isKept(token)) return fates.kept;
    return map.isOffered(token) ? fates.offered : fates.dropped;
  }
}

/** The picture's token of a patch. */
function tokenAt(view, column, row) {
  if (!view.tile_tokens) return view.first_token + row * view.row_tokens + column;
  const across = view.columns / view.tile_columns;
  const tile = Math.floor(row / view.tile_rows) * across + Math.floor(column / view.tile_columns);
  return view.first_token + tile * view.tile_tokens + (row % view.tile_rows) * view.tile_columns + (column % view.tile_columns);
}

function stripes() {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.fillStyle = "rgba(217, 220, 224, .85)";
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = "rgba(110, 115, 122, .9)";
  pen.lineWidth = 2;
  for (const shift of [-8, 0, 8]) {
    pen.beginPath();
    pen.moveTo(shift, 8);
    pen.lineTo(shift + 8, 0);
    pen.stroke();
  }
  return tile;
}

/** Cells have whole pixels, so that no gaps appear between them. */
function cellOf(view, width, height, column, row) {
  const [x, y, w, h] = view.part;
  const left = Math.round((x + (w * column) / view.columns) * width);
  const right = Math.round((x + (w * (column + 1)) / view.columns) * width);
  const top = Math.round((y + (h * row) / view.rows) * height);
  const bottom = Math.round((y + (h * (row + 1)) / view.rows) * height);
  return [left, top, right - left, bottom - top];
}

function paint(pen, [x, y, w, h], fate) {
  if (fate === fates.kept) return;
  pen.fillStyle = fate === fates.offered ? "rgba(140, 60, 155, .55)" : "rgba(12, 15, 20, .8)";
  pen.fillRect(x, y, w, h);
  if (fate !== fates.offered) return;
  pen.strokeStyle = "rgba(255, 255, 255, .7)"; // not by colour alone
  pen.beginPath();
  pen.moveTo(x, y + h);
  pen.lineTo(x + w, y);
  pen.stroke();
}

/** Draws what a layer did with the patches of a view over the picture. */
export function draw(canvas, patches, view, layer) {
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  const [x, y, w, h] = view.part;
  pen.fillStyle = pen.createPattern(stripes(), "repeat");
  pen.fillRect(0, 0, width, height);
  pen.clearRect(Math.round(x * width), Math.round(y * height), Math.round(w * width), Math.round(h * height));
  if (!patches.isDrawn(layer)) return;
  for (let row = 0; row < view.rows; ++row) {
    for (let column = 0; column < view.columns; ++column)
      paint(pen, cellOf(view, width, height, column, row), patches.fateOf(layer, view, column, row));
  }
}
