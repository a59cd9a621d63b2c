// Brings the parts of the page together: settings, sending, and what is shown beside the chat.

import { Failure, modelOf } from "./server.js";
import { Pictures, watchPage } from "./pictures.js";
import { hasCamera, takePicture } from "./camera.js";
import { Chat, names } from "./chat.js";
import { SkippedPanel } from "./skipped.js";
import { showNumbers } from "./numbers.js";

const part = (id) => document.getElementById(id);
const keyPlace = "lithe-api-key";

const tell = (sentence) => (part("status").textContent = sentence);
function fail(failure) {
  part("error").textContent = failure.message;
  if (failure.code !== "invalid_api_key") return;
  part("settings").open = true;
  part("error").textContent = part("key").value ? "The server does not take this API key." : "This server wants an API key. Write it into the settings.";
}

const panel = new SkippedPanel();
const pictures = new Pictures(part("pictures"), tell, fail);
const chat = new Chat(part("turns"), show);
let running = null; // the AbortController of what is being answered

function show(answer) {
  for (const other of document.querySelectorAll(".answer.shown")) other.classList.remove("shown");
  answer.element.classList.add("shown");
  panel.show(answer.lithe.kept_patches, answer.pictures, `${names[answer.kind]}: “${answer.question}”`);
}

function planOf(kind) {
  if (kind === "dense") return "dense";
  const text = part("plan").value.trim();
  if (!text.startsWith("{")) return text || undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure("The skip plan in the settings begins like JSON, but is not JSON.");
  }
}

function numberOf(id, name) {
  const field = part(id);
  if (!field.checkValidity()) throw new Failure(`${name} in the settings is not a number that fits.`);
  return field.value === "" ? undefined : field.valueAsNumber;
}

function bodyOf(kind) {
  return {
    model: part("lora").value || undefined,
    messages: chat.messages(kind, part("system").value.trim()),
    plan: planOf(kind),
    max_tokens: numberOf("max-tokens", "“Most new tokens”"),
    temperature: numberOf("temperature", "“Temperature”"),
  };
}

/** A button that vanishes or is disabled hands the focus on. */
function setRunning(controller) {
  running = controller;
  part("stop").hidden = !controller;
  if (controller && document.activeElement === part("send")) part("stop").focus();
  part("send").disabled = Boolean(controller);
  part("new-chat").disabled = Boolean(controller);
  if (!controller && [document.body, part("stop")].includes(document.activeElement)) part("question").focus();
}

function kindsAsked() {
  const { value } = document.querySelector('input[name="mode"]:checked');
  return value === "both" ? ["plan", "dense"] : [value];
}

/** Answers run one after another, so that neither slows the other down and their times can be compared. */
async function runTurn(turn, signal) {
  for (const answer of turn.answers) {
    answer.question = turn.question;
    answer.pictures = chat.pictures();
    await answer.run(bodyOf(answer.kind), part("key").value.trim(), signal);
    showNumbers(turn.answers.filter((one) => one.whole));
    if (answer === turn.answers[0] && answer.whole) show(answer);
    tell(`${names[answer.kind]}: ${answer.text || "empty"}`);
  }
}

/** A question without any answer comes back to be changed. */
function takeBack(turn) {
  turn.item.remove();
  if (!part("question").value) part("question").value = turn.question;
  pictures.put(turn.pictures);
}

function endTurn(turn, error) {
  const stopped = error.name === "AbortError";
  const sentence = stopped ? "Stopped." : error instanceof Failure ? error.message : `The page failed: ${error.message}`;
  for (const answer of turn.answers.filter((one) => !one.whole)) answer.fail(sentence);
  if (!turn.answers.some((answer) => answer.whole)) chat.drop(turn);
  if (!turn.answers.some((answer) => answer.text)) takeBack(turn);
  if (stopped) tell(sentence);
  else fail(Object.assign(new Error(sentence), { code: error.code }));
}

/** Keeps the end of the chat in sight, unless the reader has gone elsewhere. */
function follow() {
  if (part("ask").contains(document.activeElement)) part("send").scrollIntoView({ block: "nearest" });
}

async function ask() {
  const question = part("question").value.trim();
  if (running) return;
  part("error").textContent = "";
  if (!question) return fail(new Failure("Write a question first."));
  part("hint").hidden = true;
  const turn = chat.add(question, pictures.take(), kindsAsked());
  part("question").value = "";
  follow();
  setRunning(new AbortController());
  tell("Answering.");
  try {
    await runTurn(turn, running.signal);
  } catch (error) {
    endTurn(turn, error);
  }
  setRunning(null);
  follow();
}

function offer(loras) {
  const chosen = part("lora").value;
  part("lora").replaceChildren(new Option("none", ""), ...loras.map((name) => new Option(name, name, false, name === chosen)));
  part("lora-choice").hidden = loras.length === 0;
}

async function connect() {
  try {
    const { name, longest, loras } = await modelOf(part("key").value.trim());
    offer(loras);
    part("model").textContent = `${name}, up to ${longest} tokens`;
    part("error").textContent = "";
  } catch (failure) {
    part("model").textContent = "not connected";
    fail(failure);
  }
}

function remembered(change) {
  try {
    return change(sessionStorage);
  } catch {
    return null; // the browser stores nothing; the key is then typed again
  }
}

part("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
part("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
part("stop").addEventListener("click", () => running.abort());
part("add-pictures").addEventListener("click", () => part("files").click());
part("files").addEventListener("change", async () => {
  await pictures.add([...part("files").files]);
  part("files").value = "";
});
part("open-camera").hidden = !hasCamera();
part("open-camera").addEventListener("click", async () => {
  try {
    const file = await takePicture();
    if (file) await pictures.add([file]);
  } catch (failure) {
    fail(failure);
  }
  part("open-camera").focus();
});
part("new-chat").addEventListener("click", () => {
  chat.clear();
  panel.clear();
  showNumbers([]);
  part("hint").hidden = false;
  part("error").textContent = "";
  part("question").focus();
  tell("A new chat begins.");
});
part("key").value = remembered((store) => store.getItem(keyPlace)) || "";
part("key").addEventListener("change", () => {
  remembered((store) => store.setItem(keyPlace, part("key").value.trim()));
  connect();
});
watchPage((files) => pictures.add(files));
connect();
