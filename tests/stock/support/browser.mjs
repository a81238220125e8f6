// Chromium, driven by playwright-core, and pages to drive it on.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const EXECUTABLE = process.env.TENFOUR_CHROMIUM ?? "/usr/bin/chromium";
/** Nothing but what a page asks for goes over the network. */
const QUIET = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];
const BUNDLES = new URL("../node_modules/socket.io-client/dist/", import.meta.url);

/** Where screenshots go. */
export const SCREENSHOTS = fileURLToPath(new URL("../.out/", import.meta.url));

/** A browser for all tests of the calling file; `page(t)` opens a page in a profile of its own. */
export function useBrowser() {
  let browser;
  before(async () => {
    if (!existsSync(EXECUTABLE)) {
      throw new Error(`no browser at ${EXECUTABLE}: install Debian's chromium, or set TENFOUR_CHROMIUM to one`);
    }
    browser = await chromium.launch({ executablePath: EXECUTABLE, chromiumSandbox: false, args: QUIET });
  });
  after(() => browser?.close());
  return {
    async page(t, options) {
      const context = await browser.newContext(options);
      t.after(() => context.close());
      const page = await context.newPage();
      page.problems = [];
      page.on("pageerror", (error) => page.problems.push(error.message));
      return page;
    },
  };
}

/**
 * A server of static pages, on an origin that is not the tested server's: `/` is an empty page with the client's
 * bundle, `/msgpack` one with the bundle that speaks MessagePack.
 */
export function usePages() {
  const pages = {};
  const server = createServer((request, response) => serve(request.url, response));
  before(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    pages.url = `http://127.0.0.1:${server.address().port}`;
  });
  after(() => server.close());
  return pages;
}

async function serve(path, response) {
  const bundle = { "/": "socket.io.min.js", "/msgpack": "socket.io.msgpack.min.js" }[path];
  if (bundle) {
    response.setHeader("content-type", "text/html; charset=utf-8");
    return response.end(`<!doctype html><title>stock client</title><script src="/${bundle}"></script>`);
  }
  if (!/^\/socket\.io[a-z.]*\.js$/.test(path)) return response.writeHead(404).end();
  response.setHeader("content-type", "text/javascript; charset=utf-8");
  response.end(await readFile(new URL(`.${path}`, BUNDLES)));
}
