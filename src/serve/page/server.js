// Talks to the server. What goes wrong becomes one sentence.

export class Failure extends Error {
  /** @param {string} sentence what the reader is told  @param {string} code the server's word for it, if it gave one */
  constructor(sentence, code = "") {
    super(sentence);
    this.code = code;
  }
}

async function failureOf(response) {
  try {
    const { error } = await response.json();
    if (error && error.message) return new Failure(error.message, error.code || "");
  } catch {
    // Not the server's own reply: a proxy's, most likely.
  }
  if (response.status === 413) return new Failure("The question with its pictures is too long for the server.");
  return new Failure(`The server, or a proxy before it, replies with status ${response.status}.`);
}

async function replyOf(path, key, options = {}) {
  const headers = { ...options.headers };
  if (key && !/^[\x21-\x7e]+$/.test(key)) throw new Failure("The API key has characters that no key has.");
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer. Look whether it still runs.");
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

/** The name of the served model, how many tokens it takes, and the names of the LoRA over it. */
export async function modelOf(key) {
  const { data } = await (await replyOf("v1/models", key)).json();
  const loras = data.filter((model) => model.parent).map((model) => model.id);
  return { name: data[0].id, longest: data[0].max_model_len, loras };
}

/** The data of server-sent events, one after another. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      piece = { done: true };
    }
    if (piece.done) throw new Failure("The connection broke before the answer was whole.");
    text += piece.value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      if (event.startsWith("data: ")) yield event.slice(6);
    }
  }
}

/** Sends a body of /v1/chat/completions and yields the events of the stream. */
export async function* answerTo(body, key, signal) {
  const response = await replyOf("v1/chat/completions", key, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true }, show: ["kept_patches"] }),
    signal,
  });
  for await (const data of eventsOf(response.body)) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw new Failure(event.error.message, event.error.code || "");
    yield event;
  }
}
