// The stock client's bundle and `/tenfour.js` in Chromium: real IndexedDB, Web Locks and tab storage over reloads.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { useBrowser } from "../support/browser.mjs";
import { start, words } from "../support/server.mjs";

const COMMAND = words(process.env.TENFOUR_CHAT_COMMAND);
const BUNDLE = fileURLToPath(new URL("../node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url));
const browser = useBrowser();
let server;

before(async () => COMMAND && (server = await start(COMMAND)));
after(() => server?.stop());

/** Loads a page of the server's origin, with a stock socket of `name` and its companion, wrapped and connecting. */
async function load(page, name, { connect = true } = {}) {
  // Any page of that origin will do; this one has no script of its own.
  await page.goto(`${server.url}/style.css`);
  await page.addScriptTag({ path: BUNDLE });
  await page.evaluate(
    async ([name, connect]) => {
      const { reliable } = await import("/tenfour.js");
      const socket = window.io({ autoConnect: false, auth: { name }, reconnectionDelay: 20 });
      window.story = [];
      window.settled = [];
      window.chat = reliable(socket, { name: "stock" }).on("line", ({ text }) => void window.story.push(text));
      window.chat.addEventListener("lost", () => window.story.push("lost"));
      window.chat.addEventListener("settled", ({ detail }) => window.settled.push(detail.args[0]));
      if (connect) await new Promise((resolve) => socket.once("connect", resolve).connect());
    },
    [name, connect],
  );
}

/** Within a page: the network goes, for good. An engine that is upgrading closes when it has. */
async function cut() {
  const { socket } = window.chat;
  socket.io.reconnection(false);
  const gone = new Promise((resolve) => socket.once("disconnect", resolve));
  socket.io.engine.close();
  await gone;
}

const hears = (page, texts) =>
  page.waitForFunction((wanted) => JSON.stringify(window.story) === wanted, JSON.stringify(texts)).catch(async () => {
    assert.deepEqual(await page.evaluate(() => window.story), texts);
  });

test("a reloaded page goes on where it was, and sends what it had not", { skip: !COMMAND }, async (t) => {
  const [ada, grace] = [await browser.page(t, { bypassCSP: true }), await browser.page(t, { bypassCSP: true })];
  await load(ada, "Ada");
  await load(grace, "Grace");
  const say = (page, text) => page.evaluate((text) => window.chat.emit("say", text), text);
  await say(grace, "one");
  await hears(ada, ["one"]);
  await ada.evaluate(cut);
  await ada.evaluate(() => ["typed", "and typed"].forEach((text) => window.chat.emit("say", text)));
  await say(grace, "two");
  await load(ada, "Ada");
  await hears(ada, ["two", "typed", "and typed"]);
  assert.equal(await ada.evaluate(() => window.chat.recovered), true);
  assert.deepEqual(await ada.evaluate(() => window.settled), ["typed", "and typed"]);
  await hears(grace, ["one", "two", "typed", "and typed"]);
  assert.deepEqual([...ada.problems, ...grace.problems], []);
});

test("two tabs: one session each, one outbox, and what the closed one left is sent", { skip: !COMMAND }, async (t) => {
  const one = await browser.page(t, { bypassCSP: true });
  await load(one, "Ada");
  const two = await one.context().newPage();
  await load(two, "Ada", { connect: false });
  const answer = two.evaluate(() => window.chat.emit("say", "from the tab that is not connected"));
  await hears(one, ["from the tab that is not connected"]);
  assert.equal(typeof (await answer).number, "number", "the other tab's answer");
  await one.evaluate(cut);
  await one.evaluate(() => window.chat.emit("say", "left behind").kept);
  await one.close();
  await two.evaluate(() => new Promise((resolve) => window.chat.socket.once("connect", resolve).connect()));
  await two.waitForFunction(() => window.settled.includes("left behind"));
  assert.deepEqual(await two.evaluate(() => window.chat.pending()), []);
});
