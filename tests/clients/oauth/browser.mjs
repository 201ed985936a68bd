// Chromium, driven over its DevTools protocol. `tests/src/authority/browser.rs` says what each
// command is for.
import puppeteer from "puppeteer-core";
import { serve } from "./lines.mjs";

let browser;
let page;
let visited = [];
let said = [];

const seen = async () => ({
  url: page.url(),
  title: await page.title(),
  text: await page.evaluate(() => document.body?.innerText ?? ""),
});

// A click may lead to another page or not: the page is taken when it has been still for a moment.
async function settled() {
  await page.waitForNetworkIdle({ idleTime: 100, timeout: 15_000 });
  await page.waitForFunction(() => document.readyState === "complete", { timeout: 15_000 });
}

async function retried(look) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await look();
    } catch (error) {
      // the page went away under the question: the next one is asked
      const gone = /context was destroyed|detached|Cannot find context/i.test(String(error));
      if (!gone || tries > 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const look = async () => {
  await retried(settled);
  return retried(seen);
};

await serve(
  {
    async start({ program, profile, rules, width, height }) {
      browser = await puppeteer.launch({
        executablePath: program,
        userDataDir: profile,
        // when this end of the pipe is gone, so is the browser
        pipe: true,
        acceptInsecureCerts: true,
        defaultViewport: { width, height },
        args: [
          "--no-sandbox", // it does not run as root otherwise
          "--no-proxy-server",
          "--disable-dev-shm-usage",
          "--disable-gpu",
          ...(rules ? [`--host-resolver-rules=${rules}`] : []),
        ],
      });
      [page] = await browser.pages();
      page.on("request", (request) => visited.push(`${request.method()} ${request.url()}`));
      page.on("console", (message) => said.push(message.text()));
      page.on("pageerror", (error) => said.push(String(error)));
      return { pid: browser.process().pid };
    },
    async open({ url }) {
      await page.goto(url, { waitUntil: "domcontentloaded", timeout: 20_000 });
      return look();
    },
    look,
    async fill({ selector, text }) {
      await page.waitForSelector(selector, { timeout: 10_000 });
      await page.locator(selector).setTimeout(10_000).fill(text);
    },
    async click({ selector }) {
      const element = await page.waitForSelector(selector, { timeout: 10_000 });
      await element.click();
      return look();
    },
    async wait({ text, url }) {
      await page.waitForFunction(
        (text, url) =>
          (text === null || document.body?.innerText.includes(text)) &&
          (url === null || location.href.startsWith(url)),
        { timeout: 20_000, polling: 20 },
        text ?? null,
        url ?? null,
      );
      return look();
    },
    html: () => page.content(),
    evaluate: ({ script }) => page.evaluate(script),
    screenshot: async ({ path }) => {
      await page.screenshot({ path, fullPage: true });
    },
    resize: ({ width, height }) => page.setViewport({ width, height }),
    async history() {
      const session = await page.createCDPSession();
      const { entries } = await session.send("Page.getNavigationHistory");
      await session.detach();
      return entries.map((entry) => entry.url);
    },
    visited: () => visited,
    said: () => said,
    async clear() {
      const session = await page.createCDPSession();
      await session.send("Network.clearBrowserCookies");
      await session.detach();
      visited = [];
      said = [];
    },
  },
  () => browser?.close(),
);
