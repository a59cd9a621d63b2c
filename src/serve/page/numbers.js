// The table of what answers cost: one column for each answer of the last question.

const titles = { plan: "Plan", dense: "Dense" };

function bytesText(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    ++unit;
  }
  return `${unit > 0 && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)}\u00a0${units[unit]}`;
}

function milliseconds(ms) {
  if (ms === undefined) return "–";
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** The first token belongs to the prompt's time, so the speed is that of the others. */
function speed(timings) {
  const others = timings.predicted_n - 1;
  return others > 0 && timings.predicted_ms > 0 ? ((1000 * others) / timings.predicted_ms).toFixed(1) : "–";
}

function share(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)}\u00a0%` : "–";
}

function meterOf(part, whole, label) {
  const meter = document.createElement("meter");
  meter.max = whole;
  meter.value = part;
  meter.setAttribute("aria-label", label);
  return meter;
}

const rows = [
  ["Time to first token", (answer) => milliseconds(answer.firstMs)],
  ["Tokens per second after it", (answer) => speed(answer.timings)],
  ["Prompt tokens", (answer) => answer.usage.prompt_tokens],
  [
    "Of these, of pictures",
    (answer) => answer.usage.prompt_tokens_details.image_tokens,
  ],
  [
    "Kept of these, on average over the layers",
    (answer) => answer.usage.prompt_tokens_details.kept_tokens,
  ],
  ["New tokens", (answer) => answer.usage.completion_tokens],
  [
    "Keys and values (KV cache)",
    ({ lithe }) => `${bytesText(lithe.kv_bytes)} of ${bytesText(lithe.dense_kv_bytes)} dense (${share(lithe.kv_bytes, lithe.dense_kv_bytes)})`,
    ({ lithe }) => meterOf(lithe.kv_bytes, lithe.dense_kv_bytes, "KV cache, of the dense one"),
  ],
  [
    "Counted operations of the prompt",
    ({ lithe }) => `${Math.round(100 * lithe.counted_share)}\u00a0% of dense`,
    ({ lithe }) => meterOf(lithe.counted_share, 1, "Operations, of the dense ones"),
  ],
];

/** @param {object[]} answers that are whole */
export function showNumbers(answers) {
  document.getElementById("numbers-box").hidden = answers.length === 0;
  const head = document.createElement("tr");
  for (const text of ["", ...answers.map((answer) => titles[answer.kind])]) {
    const cell = document.createElement(text ? "th" : "td");
    if (text) cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  document.querySelector("#numbers thead").replaceChildren(head);
  const lines = rows.map(([title, textOf, more]) => {
    const line = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = title;
    line.append(name);
    for (const answer of answers) {
      const cell = line.insertCell();
      cell.textContent = textOf(answer);
      if (more) cell.append(more(answer));
    }
    return line;
  });
  document.querySelector("#numbers tbody").replaceChildren(...lines);
}
