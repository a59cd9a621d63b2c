// The conversation: what was asked, what was answered with and without the plan, and how both are shown.

import { answerTo } from "./server.js";
import { thumbnailOf } from "./pictures.js";

export const names = { plan: "Answer with the plan", dense: "Dense answer" };

function textOf(kind, className, text) {
  const element = document.createElement(kind);
  element.className = className;
  element.textContent = text;
  return element;
}

/** An answer on its way: its text, its numbers and its place on the page. */
class Answer {
  constructor(kind, onShow) {
    this.kind = kind;
    this.text = "";
    this.element = document.createElement("article");
    this.element.className = "answer";
    this.element.setAttribute("aria-busy", "true");
    this.words = textOf("p", "text", "");
    this.element.append(textOf("h3", "", names[kind]), this.words);
    this.onShow = onShow;
  }

  async run(body, key, signal) {
    const start = performance.now();
    try {
      for await (const event of answerTo(body, key, signal)) this.take(event, performance.now() - start);
      this.whole = Boolean(this.usage && this.lithe);
    } finally {
      this.element.setAttribute("aria-busy", "false");
    }
    if (this.whole && this.lithe.kept_patches.pictures.length > 0) this.addButton();
  }

  take(event, ms) {
    const choice = event.choices[0];
    const piece = choice && choice.delta.content;
    if (piece) {
      this.firstMs ??= ms;
      this.text += piece;
      this.words.textContent = this.text;
    }
    if (event.lithe) this.lithe = event.lithe;
    if (event.timings) this.timings = event.timings;
    if (event.usage) this.usage = event.usage;
  }

  fail(sentence) {
    this.element.setAttribute("aria-busy", "false");
    this.element.append(textOf("p", "failed", sentence));
  }

  addButton() {
    const button = textOf("button", "", "Show what was skipped");
    button.type = "button";
    button.addEventListener("click", () => this.onShow(this));
    this.element.append(button);
  }
}

export class Chat {
  /** @param {HTMLOListElement} list  @param {(answer: Answer) => void} onShow called if the reader wants to see an answer's patches */
  constructor(list, onShow) {
    this.list = list;
    this.onShow = onShow;
    this.clear();
  }

  clear() {
    this.turns = [];
    this.list.replaceChildren();
  }

  /** A question, and a place for each kind of answer. */
  add(question, pictures, kinds) {
    const turn = { question, pictures, answers: kinds.map((kind) => new Answer(kind, this.onShow)) };
    const item = document.createElement("li");
    const asked = textOf("div", "asked", "");
    if (pictures.length > 0) {
      const thumbs = textOf("ul", "thumbs", "");
      for (const picture of pictures) {
        const entry = document.createElement("li");
        entry.append(thumbnailOf(picture));
        thumbs.append(entry);
      }
      asked.append(thumbs);
    }
    asked.append(textOf("p", "", question));
    const answers = textOf("div", kinds.length > 1 ? "answers two" : "answers", "");
    answers.append(...turn.answers.map((answer) => answer.element));
    item.append(asked, answers);
    this.list.append(item);
    turn.item = item;
    this.turns.push(turn);
    return turn;
  }

  /** Forgets a turn without any answer, so that later questions do not repeat it. */
  drop(turn) {
    this.turns = this.turns.filter((other) => other !== turn);
  }

  /** The messages up to the last question, with the answers of this kind if there are some. */
  messages(kind, system) {
    const messages = system ? [{ role: "system", content: system }] : [];
    for (const turn of this.turns) {
      const parts = turn.pictures.map((picture) => ({ type: "image_url", image_url: { url: picture.url } }));
      messages.push({ role: "user", content: [...parts, { type: "text", text: turn.question }] });
      if (turn === this.turns.at(-1)) break;
      const answer = turn.answers.find((one) => one.kind === kind && one.whole) || turn.answers.find((one) => one.whole);
      messages.push({ role: "assistant", content: answer ? answer.text : "" });
    }
    return messages;
  }

  /** All pictures of the conversation, in the order in which requests name them. */
  pictures() {
    return this.turns.flatMap((turn) => turn.pictures);
  }
}
