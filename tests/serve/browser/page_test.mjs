// The page as people use it: a real server, a real browser.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Server, addPicture, ask, idle, isCovered, openPage, pictureFile, question, startBrowser } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let server, browser;

before(async () => {
  [server, browser] = await Promise.all([Server.start(), startBrowser()]);
});
after(async () => {
  await browser.close();
  assert.equal(await server.stop(), 0);
});

/** What the server says by its API of the same question, without the page. */
async function reply(fields = {}) {
  const url = "data:image/png;base64," + readFileSync(pictureFile).toString("base64");
  const content = [{ type: "image_url", image_url: { url } }, { type: "text", text: question }];
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content }], show: ["kept_patches"], ...fields }),
  });
  return response.json();
}

const answers = (page) => page.locator(".answer p.text").allTextContents();
const says = (page) => page.locator("#layer-says").textContent();

test("a picture is asked about, and its patches are shown layer by layer", async () => {
  const { page, complaints } = await openPage(browser, server.url);
  await addPicture(page);
  await ask(page, question);
  const expected = await reply();
  assert.deepEqual(await answers(page), [expected.choices[0].message.content]);
  const { layers, pictures } = expected.lithe.kept_patches;
  const [view] = pictures[0].views;
  const slider = page.getByLabel("Layer", { exact: true });
  assert.equal(await slider.getAttribute("max"), String(layers - 1));
  let drawn = 0;
  for (let layer = 0; layer < layers; ++layer) {
    await slider.fill(String(layer));
    const map = pictures[0].maps.find((one) => one.layers.includes(layer));
    assert.match(await says(page), map ? new RegExp(`: ${map.kept_tokens} of ${map.tokens} patches kept`) : /keeps every patch/);
    const bits = map && Buffer.from(map.kept, "base64");
    for (let row = 0; row < view.rows; row += 3) {
      for (let column = 0; column < view.columns; column += 3) {
        const token = view.first_token + row * view.row_tokens + column;
        const kept = !map || (bits[token >> 3] >> (token & 7)) & 1;
        assert.equal(await isCovered(page, (column + 0.5) / view.columns, (row + 0.5) / view.rows), !kept, `layer ${layer}, patch ${column}, ${row}`);
        drawn += kept ? 0 : 1;
      }
    }
  }
  assert.ok(drawn > 0, "a patch that was dropped is drawn over");
  await page.getByLabel("Show the overlay").uncheck();
  assert.ok(await page.locator("#overlay").isHidden());
  const rows = await page.locator("#layers tbody tr").count();
  assert.equal(rows, layers);
  assert.match(await page.locator("#numbers").textContent(), /Time to first token\d/);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test("an answer appears piece by piece, and Stop ends it", async () => {
  const { page } = await openPage(browser, server.url);
  // A slow server of the same form: the demo model's answers are over too soon to be watched.
  await page.route("**/v1/chat/completions", (route) => route.continue({ url: slow.url }));
  const slow = await slowServer();
  await page.getByLabel("Question", { exact: true }).fill("tell me");
  await page.getByLabel("Question", { exact: true }).press("Enter");
  await page.locator(".answer p.text", { hasText: "one" }).waitFor();
  assert.equal(await page.locator(".answer").getAttribute("aria-busy"), "true");
  assert.deepEqual(await answers(page), ["one "]);
  slow.send("two");
  await page.locator(".answer p.text", { hasText: "one two" }).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await idle(page);
  assert.match(await page.locator(".answer .failed").textContent(), /Stopped/);
  assert.equal(await page.getByRole("button", { name: "Ask", exact: true }).isDisabled(), false);
  slow.close();
  await page.context().close();
});

/** Begins a stream with "one ", and then waits for send(). */
async function slowServer() {
  const event = (content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
  let stream;
  const http = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(event("one "));
    stream = response;
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${http.address().port}/v1/chat/completions`,
    send: (content) => stream.write(event(content)),
    close: () => {
      http.closeAllConnections();
      http.close();
    },
  };
}

test("the switch shows the dense answer and the plan's side by side", async () => {
  const { page } = await openPage(browser, server.url);
  await addPicture(page);
  await page.getByLabel("Both, side by side").check();
  await ask(page, question);
  const [plan, dense] = [await reply(), await reply({ plan: "dense" })];
  assert.deepEqual(await answers(page), [plan, dense].map((one) => one.choices[0].message.content));
  const [left, right] = await Promise.all([0, 1].map((index) => page.locator(".answer").nth(index).boundingBox()));
  assert.ok(right.x >= left.x + left.width && Math.abs(right.y - left.y) < 2, "they are beside each other");
  const heads = await page.locator("#numbers thead th").allTextContents();
  assert.deepEqual(heads, ["Plan", "Dense"]);
  const kv = await page.locator("#numbers tr", { hasText: "KV cache" }).locator("td").allTextContents();
  assert.match(kv[1], /100\u00a0%/);
  const share = Math.round((100 * plan.lithe.kv_bytes) / plan.lithe.dense_kv_bytes);
  assert.ok(kv[0].includes(`(${share}\u00a0%)`) && share < 100, kv[0]);
  await page.getByRole("button", { name: "Show what was skipped" }).nth(1).click();
  assert.match(await says(page), /keeps every patch/);
  await page.context().close();
});

test("layers without attention are named", async () => {
  const { page } = await openPage(browser, server.url);
  await page.getByText("Settings").click();
  await page.getByLabel("Skip plan").fill(JSON.stringify({ name: "off", layers: [{ layer: 5, attention: "off" }] }));
  await addPicture(page);
  await ask(page, question);
  assert.equal(await page.locator("#without-attention").textContent(), "1 layer without attention: 5.");
  await page.getByLabel("Layer", { exact: true }).fill("5");
  assert.match(await says(page), /Its attention is off/);
  await page.context().close();
});

test("pictures come by paste, by drop and from the camera", async () => {
  const { page, complaints } = await openPage(browser, server.url);
  const give = (kind) =>
    page.evaluate(
      async ([type, base64]) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], `${type}.png`, { type: "image/png" }));
        const event = type === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true }) : new DragEvent("drop", { dataTransfer: data, bubbles: true });
        document.body.dispatchEvent(event);
      },
      [kind, readFileSync(pictureFile).toString("base64")],
    );
  await give("paste");
  await page.getByRole("button", { name: "Remove paste.png" }).waitFor();
  await give("drop");
  await page.getByRole("button", { name: "Remove drop.png" }).waitFor();
  await page.getByRole("button", { name: "Camera" }).click();
  await page.waitForFunction(() => document.getElementById("camera-picture").videoWidth > 0);
  await page.getByRole("button", { name: "Take picture" }).click();
  await page.getByRole("button", { name: "Remove camera.jpg" }).waitFor();
  for (const name of ["camera.jpg", "drop.png"]) await page.getByRole("button", { name: `Remove ${name}` }).click();
  assert.equal(await page.locator("#pictures img").count(), 1);
  await ask(page, question);
  assert.equal((await answers(page)).length, 1);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test("a second question knows the first one", async () => {
  const { page } = await openPage(browser, server.url);
  await addPicture(page);
  await ask(page, question);
  const sent = page.waitForRequest("**/v1/chat/completions");
  await ask(page, "is there a circle?");
  const { messages } = (await sent).postDataJSON();
  assert.deepEqual(messages.map((message) => message.role), ["user", "assistant", "user"]);
  assert.equal(messages[1].content, (await answers(page))[0]);
  await page.getByRole("button", { name: "New chat" }).click();
  assert.equal(await page.locator("#turns li").count(), 0);
  assert.ok(await page.locator("#nothing").isVisible());
  await page.context().close();
});

test("errors are sentences, and the question comes back", async () => {
  const { page } = await openPage(browser, server.url);
  const error = page.getByRole("alert");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  assert.match(await error.textContent(), /^Write a question first\.$/);
  await page.getByText("Settings").click();
  await page.getByLabel("Skip plan").fill("no-such-plan");
  await addPicture(page);
  await ask(page, question);
  assert.match(await error.textContent(), /no-such-plan/);
  assert.equal(await page.getByLabel("Question", { exact: true }).inputValue(), question);
  assert.equal(await page.locator("#pictures img").count(), 1);
  await page.getByLabel("Skip plan").fill("");
  await page.locator("#files").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("hello") });
  await page.waitForFunction(() => document.getElementById("error").textContent.includes("notes.txt"));
  await page.route("**/v1/chat/completions", (route) => route.abort());
  await ask(page, question);
  assert.match(await error.textContent(), /does not answer/);
  await page.unroute("**/v1/chat/completions");
  await page.route("**/v1/chat/completions", (route) => route.fulfill({ status: 200, contentType: "text/event-stream", body: ": ping\n\n" }));
  await ask(page, question);
  assert.match(await error.textContent(), /connection broke/);
  await page.unroute("**/v1/chat/completions");
  await ask(page, question);
  assert.equal(await error.textContent(), "");
  await page.context().close();
});

test("a key is asked for, and sent", async () => {
  const locked = await Server.start("--api-key", "s3cret");
  const { page } = await openPage(browser, locked.url);
  assert.match(await page.getByRole("alert").textContent(), /wants an API key/);
  await page.getByLabel("API key").fill("s3cret");
  await page.getByLabel("API key").press("Tab");
  await page.waitForFunction(() => document.getElementById("model").textContent.startsWith("demo"));
  await addPicture(page);
  await ask(page, question);
  assert.equal((await answers(page)).length, 1);
  assert.equal(await page.getByRole("alert").textContent(), "");
  await page.context().close();
  await locked.stop();
});

test("a LoRA is offered if there is one, and asked for", async () => {
  const { page } = await openPage(browser, server.url);
  await page.evaluate(() => (document.getElementById("settings").open = true));
  assert.equal(await page.getByLabel("LoRA").isVisible(), false);
  const cards = [{ id: "demo", parent: null, max_model_len: 2048 }, { id: "red", parent: "demo", max_model_len: 2048 }];
  await page.route("**/v1/models", (route) => route.fulfill({ json: { object: "list", data: cards } }));
  await page.getByLabel("API key").fill("any");
  await page.getByLabel("API key").press("Tab");
  await page.getByLabel("LoRA").selectOption("red");
  let asked = null;
  await page.route("**/v1/chat/completions", (route) => {
    asked = route.request().postDataJSON();
    return route.abort();
  });
  await ask(page, question);
  assert.equal(asked.model, "red");
  await page.context().close();
});

test("the keyboard alone is enough", async () => {
  const { page } = await openPage(browser, server.url);
  page.on("filechooser", (chooser) => chooser.setFiles(pictureFile));
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
  const hasFocus = (id) => page.waitForFunction((wanted) => document.activeElement.id === wanted, id);
  const tabTo = async (id) => {
    for (let i = 0; i < 60 && (await focused()) !== id; ++i) await page.keyboard.press("Tab");
    assert.equal(await focused(), id);
  };
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the question");
  await page.keyboard.press("Enter");
  await hasFocus("question");
  await tabTo("add-pictures");
  await page.keyboard.press("Enter");
  await page.locator("#pictures img").waitFor();
  await page.keyboard.press("Shift+Tab");
  await hasFocus("question");
  await page.keyboard.type(question);
  await page.keyboard.press("Enter");
  await page.locator(".answer").waitFor();
  await idle(page);
  await tabTo("layer");
  const before = await says(page);
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((was) => document.getElementById("layer-says").textContent !== was, before);
  assert.equal(await page.locator("#layer").getAttribute("aria-valuetext"), await says(page));
  await page.context().close();
});

test("a screen reader has no serious trouble, in light, dark and on a phone", async () => {
  for (const [name, options] of Object.entries({
    light: { colorScheme: "light" },
    dark: { colorScheme: "dark" },
    phone: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
  })) {
    const { page } = await openPage(browser, server.url, { ...options, bypassCSP: true }); // for axe's own script
    await page.evaluate(axe);
    const check = async (when) => {
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
      assert.deepEqual(serious.map((one) => `${one.id}: ${one.nodes[0].html}`), [], `${name}, ${when}`);
    };
    await check("empty");
    await addPicture(page);
    await page.getByLabel("Both, side by side").check();
    await ask(page, question);
    for (const summary of await page.locator("summary").all()) await summary.click();
    await check("with answers");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(wide, false, `${name}: the page is not wider than the screen`);
    await page.context().close();
  }
});

test("the files have their types, tags and a strict policy", async () => {
  const paths = ["/", "/page/style.css", "/page/icon.svg", "/page/main.js", "/page/skipped.js"];
  for (const path of paths) {
    const response = await fetch(server.url + path);
    assert.equal(response.status, 200, path);
    const policy = response.headers.get("content-security-policy");
    assert.ok(policy.includes("default-src 'none'") && !policy.includes("unsafe"), policy);
    const again = await fetch(server.url + path, { headers: { "If-None-Match": response.headers.get("etag") } });
    assert.equal(again.status, 304, path);
  }
});
