// Makes the screenshots of the documentation:
//   tests/serve/browser/run.sh build/lithe pictures.mjs docs/pictures

import path from "node:path";
import { Server, addPicture, ask, openPage, question, startBrowser } from "./support.mjs";

const folder = process.argv[2];
const [server, browser] = await Promise.all([Server.start(), startBrowser()]);

/** `from`: what the picture begins with; without it, the whole page is in the picture. */
async function picture(name, options, layer, from) {
  const { page } = await openPage(browser, server.url, options);
  await addPicture(page);
  await page.getByLabel("Both, side by side").check();
  await ask(page, question);
  await page.getByLabel("Layer", { exact: true }).fill(String(layer));
  await page.evaluate(() => document.activeElement.blur());
  if (from) await page.locator(from).evaluate((element) => element.scrollIntoView());
  await page.screenshot({ path: path.join(folder, name), fullPage: !from });
  await page.context().close();
}

await picture("page.png", { viewport: { width: 1200, height: 800 }, colorScheme: "light" }, 6);
await picture("page-phone.png", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: "dark" }, 9, ".skipped");
await browser.close();
await server.stop();
