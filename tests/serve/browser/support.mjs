// A server over the demo model, and a browser that looks at its page.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { chromium } from "playwright-core";

export const root = fileURLToPath(new URL("../../..", import.meta.url));
export const pictureFile = path.join(root, "models/images/901.png");
export const question = "what is the color of the rectangle?";

/** A running `lithe serve`; `url` is its page. */
export class Server {
  static async start(...flags) {
    const server = new Server();
    server.process = spawn(process.env.LITHE, ["serve", "demo", "--port", "0", ...flags], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    const line = await new Promise((resolve, reject) => {
      server.process.stdout.once("data", (text) => resolve(String(text)));
      server.process.once("exit", (code) => reject(new Error(`lithe serve ended with code ${code}`)));
    });
    server.url = line.match(/http:\S+/)[0];
    return server;
  }

  async stop() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    return ended;
  }
}

export async function startBrowser() {
  // A root user has no sandbox; the page is our own.
  const flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
  if (process.getuid() === 0) flags.push("--no-sandbox");
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: flags });
}

/** A page that has loaded, and what its console and its failed requests said. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, permissions: ["camera"], ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("model").textContent !== "Connecting …");
  return { page, complaints };
}

/** Asks what is in the form and waits for the end. */
export async function ask(page, text) {
  await page.getByLabel("Question", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await idle(page);
}

export async function idle(page) {
  await page.waitForFunction(() => document.getElementById("stop").hidden && !document.querySelector('.answer[aria-busy="true"]'));
}

export async function addPicture(page, file = pictureFile) {
  await page.locator("#files").setInputFiles(file);
  await page.locator("#pictures img").first().waitFor();
}

/** Whether the overlay's pixel at these shares of the picture is drawn over. */
export function isCovered(page, x, y) {
  return page.evaluate(
    ([shareX, shareY]) => {
      const canvas = document.getElementById("overlay");
      const pen = canvas.getContext("2d");
      return pen.getImageData(Math.floor(shareX * canvas.width), Math.floor(shareY * canvas.height), 1, 1).data[3] > 0;
    },
    [x, y],
  );
}
