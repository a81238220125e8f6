// The chat page of `tenfour serve`: what two people see of each other, and that cuts, reloads and kills lose nothing.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { SCREENSHOTS, useBrowser } from "../support/browser.mjs";
import { start, words } from "../support/server.mjs";

const COMMAND = words(process.env.TENFOUR_CHAT_COMMAND);
const REFERENCE = [process.execPath, fileURLToPath(new URL("../reference-chat.mjs", import.meta.url))];
const HOSTILE = "<img src=x onerror=alert(1)> & <b>not bold</b>";
const DESK = { viewport: { width: 1280, height: 800 } };
const browser = useBrowser();
let server;

before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  server = await start(COMMAND ?? REFERENCE);
});
after(() => server?.stop());

test("two people chat: who is here, what is said, what is acknowledged", async (t) => {
  const [ada, grace] = [await enter(t, "Ada"), await enter(t, "Grace")];
  await ada.present("Grace");
  await grace.present("Ada");

  await ada.say("Good morning. Does anyone read me?");
  await ada.marked("Does anyone", "acknowledged");
  await grace.shows("Does anyone read me?");
  await grace.say(HOSTILE);
  await ada.shows(HOSTILE);
  assert.equal(await ada.page.locator("[data-testid=messages] .text :is(img, b)").count(), 0, "what is said is text");
  assert.deepEqual((await ada.texts()).slice(-2), (await grace.texts()).slice(-2));

  await grace.id("name").fill("Grace Hopper");
  await grace.id("name").press("Enter");
  await ada.present("Grace Hopper");
  await picture(ada, "chat");
});

test("cut: what is said meanwhile on both sides comes once and in order", async (t) => {
  const [ada, grace] = [await enter(t, "Ada"), await enter(t, "Grace")];
  await grace.present("Ada");
  await ada.id("cut").click();
  await ada.status("offline");
  await grace.absent("Ada");

  const said = ["Ada, are you there?", "This waits for her."];
  for (const text of said) {
    await grace.say(text);
    await grace.marked(text, "acknowledged");
  }
  const typed = ["Typed while cut off", "and this too"];
  for (const text of typed) {
    await ada.say(text);
    await ada.marked(text, "waiting");
  }
  await picture(ada, "chat-cut");

  await ada.status("connected");
  for (const text of typed) await ada.marked(text, "acknowledged");
  await grace.present("Ada");
  await grace.say("Welcome back");
  for (const person of [ada, grace]) await person.hasLast([...said, ...typed, "Welcome back"]);
  await picture(ada, "chat-after-cut");
});

test("cut, typed, reloaded, connected again: every line once, in order", async (t) => {
  const [ada, grace] = [await enter(t, "Ada"), await enter(t, "Grace")];
  await ada.say("Before");
  await ada.marked("Before", "acknowledged");
  await ada.unplug();
  const typed = Array.from({ length: 5 }, (_, index) => `Typed ${index + 1}`);
  for (const text of typed.slice(0, 3)) await ada.say(text);
  await ada.marked("Typed 3", "waiting");
  await ada.page.reload();
  await ada.marked("Typed 1", "waiting");
  for (const text of typed.slice(3)) await ada.say(text);
  await grace.say("Meanwhile");
  await grace.marked("Meanwhile", "acknowledged");
  await picture(ada, "chat-reloaded-offline");
  await ada.page.reload();
  await ada.plug();
  await ada.status("connected");
  for (const text of typed) await ada.marked(text, "acknowledged");
  for (const person of [ada, grace]) await person.hasLast(["Before", "Meanwhile", ...typed]);
});

test("reloads at any moment while lines are on their way", async (t) => {
  const [ada, grace] = [await enter(t, "Ada"), await enter(t, "Grace")];
  const typed = Array.from({ length: 24 }, (_, index) => `Number ${index + 1}`);
  for (const [index, text] of typed.entries()) {
    await ada.say(text);
    if (index % 6 === 5) await ada.page.reload({ waitUntil: "commit" });
    if (index % 6 === 5) await ada.status("connected");
  }
  for (const person of [ada, grace]) await person.hasLast(typed);
});

test("two tabs of a browser: one person, one outbox, every line once", async (t) => {
  const [one, grace] = [await enter(t, "Ada"), await enter(t, "Grace")];
  const two = await enter(t, "Ada", { page: await one.page.context().newPage() });
  await one.unplug();
  const typed = Array.from({ length: 8 }, (_, index) => `Tabbed ${index + 1}`);
  await one.say(typed[0]);
  await one.marked(typed[0], "acknowledged"); // By way of the other tab.
  await two.say(typed[1]);
  await two.marked(typed[1], "acknowledged");
  await one.plug();
  await one.status("connected");
  await two.page.close();
  for (const text of typed.slice(2)) await one.say(text);
  for (const text of typed.slice(2)) await one.marked(text, "acknowledged");
  for (const person of [one, grace]) await person.hasLast(typed);
  assert.equal(await one.id("people").locator("li", { hasText: "Ada" }).count(), 1, "one person");
});

test("on a phone in the dark", async (t) => {
  const ada = await enter(t, "Ada", { viewport: { width: 390, height: 780 }, colorScheme: "dark", isMobile: true });
  await ada.say("From the road");
  await ada.marked("From the road", "acknowledged");
  assert.ok(await ada.page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), "nothing is cut off");
  await picture(ada, "chat-phone-dark");
});

test("killed and restarted on its data: what was said is there, what was typed follows", { skip: !COMMAND }, async (t) => {
  const data = mkdtempSync(join(tmpdir(), "tenfour-chat-"));
  let own = await start(COMMAND, ["--data", data]);
  const { address } = own;
  t.after(async () => {
    await own.stop();
    rmSync(data, { recursive: true });
  });
  const [ada, grace] = [await enter(t, "Ada", { url: own.url }), await enter(t, "Grace", { url: own.url })];
  await grace.present("Ada");
  const lines = ["One", "Two", "Three"];
  for (const [index, text] of lines.entries()) {
    const person = index % 2 ? grace : ada;
    await person.say(text);
    await person.marked(text, "acknowledged");
  }
  await own.stop("SIGKILL");
  await ada.status("offline");
  const typed = ["While it was dead", "Is anyone there?"];
  for (const text of typed) await ada.say(text);
  await ada.marked(typed[1], "waiting");
  await picture(ada, "chat-killed");
  own = await start(COMMAND, ["--data", data, "--listen", address]);
  for (const text of typed) await ada.marked(text, "acknowledged");
  for (const person of [ada, grace]) await person.hasLast([...lines, ...typed]);
  await ada.noGap();
  await grace.noGap();
  const mary = await enter(t, "Mary", { url: own.url });
  await mary.hasLast([...lines, ...typed]);
  await picture(mary, "chat-restarted");
});

test("restarted without its data: the gap is shown, and what was typed still comes once", { skip: !COMMAND }, async (t) => {
  let own = await start(COMMAND);
  const { address } = own;
  t.after(() => own.stop());
  const ada = await enter(t, "Ada", { url: own.url });
  await ada.say("Who will remember this?");
  await ada.marked("Who will remember", "acknowledged");
  await own.stop("SIGKILL");
  await ada.status("offline");
  await ada.say("Nobody?");
  await ada.marked("Nobody?", "waiting");
  own = await start(COMMAND, ["--listen", address]);
  await ada.marked("Nobody?", "acknowledged");
  await ada.page.locator(".gap").waitFor();
  assert.equal(await ada.page.locator(".gap").count(), 1, "told once");
  await ada.hasLast(["Nobody?"]);
  assert.deepEqual(await ada.texts(), ["Who will remember this?", "Nobody?"]);
  await picture(ada, "chat-gap");
  await ada.page.reload();
  await ada.hasLast(["Nobody?"]);
  await ada.noGap();
});

/** Opens the page as somebody, in a browser profile of their own, and waits until it is connected. */
async function enter(t, name, { page, url = server.url, ...options } = {}) {
  page ??= await browser.page(t, { ...DESK, ...options });
  page.problems ??= [];
  const id = (testId) => page.getByTestId(testId);
  const line = (text) => id("messages").locator("li", { hasText: text }).first();
  let plugged = Promise.resolve();
  const person = {
    page,
    id,
    status: (state) => page.locator(`[data-testid=status][data-state=${state}]`).waitFor(),
    present: (who) => id("people").locator("li", { hasText: who }).first().waitFor(),
    absent: (who) => id("people").locator("li", { hasText: who }).first().waitFor({ state: "detached" }),
    shows: (text) => line(text).waitFor(),
    marked: (text, state) => id("messages").locator(`li[data-state=${state}]`, { hasText: text }).first().waitFor(),
    texts: () => id("messages").locator("li:not(.notice) .text").allTextContents(),
    /** Waits until these are the last lines, each once, with ascending numbers. */
    async hasLast(expected) {
      const last = () =>
        page.evaluate(
          (count) =>
            [...document.querySelectorAll("[data-testid=messages] li:not(.notice)")]
              .slice(-count)
              .map((item) => [item.querySelector(".number").textContent, item.querySelector(".text").textContent]),
          expected.length,
        );
      const wanted = JSON.stringify(expected);
      for (let tries = 0; tries < 200; tries++) {
        const lines = await last();
        if (JSON.stringify(lines.map(([, text]) => text)) === wanted && lines.every(([number]) => number)) break;
        await page.waitForTimeout(50);
      }
      const lines = await last();
      assert.deepEqual(lines.map(([, text]) => text), expected, name);
      const numbers = lines.map(([number]) => Number(number));
      assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b), name);
      assert.equal(new Set(numbers).size, numbers.length, name);
    },
    noGap: async () => assert.equal(await page.locator(".gap").count(), 0, `${name} is told of no gap`),
    async say(text) {
      await id("message").fill(text);
      await id("send").click();
    },
    /** Takes the network from all its WebSockets, and from those to come. */
    async unplug() {
      plugged = new Promise((resolve) => (person.plug = resolve));
      for (const socket of sockets) await socket.close();
      await person.status("offline");
    },
  };
  const sockets = new Set();
  await page.routeWebSocket(/socket\.io/, async (socket) => {
    await plugged;
    socket.connectToServer();
    sockets.add(socket);
  });
  await page.goto(url);
  await person.status("connected");
  await id("name").fill(name);
  await id("name").press("Enter");
  await person.present(name);
  t.after(() => assert.deepEqual(page.problems, []));
  return person;
}

async function picture({ page }, name) {
  const path = join(SCREENSHOTS, `${name}.png`);
  rmSync(path, { force: true });
  await page.screenshot({ path });
  assert.ok(existsSync(path) && statSync(path).size > 5_000, "a picture that shows something");
}
