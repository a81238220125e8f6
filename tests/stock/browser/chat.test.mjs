// The chat page of `tenfour serve`: what two people see of each other, and what a cut connection loses.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { SCREENSHOTS, useBrowser } from "../support/browser.mjs";
import { start, words } from "../support/server.mjs";

const REFERENCE = [process.execPath, fileURLToPath(new URL("../reference-chat.mjs", import.meta.url))];
const HOSTILE = "<img src=x onerror=alert(1)> & <b>not bold</b>";
const browser = useBrowser();
let server;

before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  server = await start(words(process.env.TENFOUR_CHAT_COMMAND) ?? REFERENCE);
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

test("a cut connection: what is said meanwhile is lost, and both sides know", async (t) => {
  const [ada, grace] = [await enter(t, "Ada"), await enter(t, "Grace")];
  await grace.present("Ada");
  await ada.id("cut").click();
  await ada.status("offline");
  await grace.absent("Ada");

  for (const text of ["Ada, are you there?", "This passes her by."]) {
    await grace.say(text);
    await grace.marked(text, "acknowledged");
  }
  await ada.say("Typed while cut off");
  await ada.marked("Typed while cut off", "unsent");
  await picture(ada, "chat-cut");

  await ada.status("connected");
  await ada.shows("2 messages");
  await grace.present("Ada");
  await grace.say("Welcome back");
  await ada.shows("Welcome back");
  const seen = (await ada.texts()).join("\n");
  assert.ok(!seen.includes("are you there?") && !seen.includes("This passes her by."), "at most once: gone");
  assert.ok(!(await grace.texts()).join("\n").includes("Typed while cut off"), "what was not sent is not sent later");
  await picture(ada, "chat-after-cut");
});

test("on a phone in the dark", async (t) => {
  const ada = await enter(t, "Ada", { viewport: { width: 390, height: 780 }, colorScheme: "dark", isMobile: true });
  await ada.say("From the road");
  await ada.marked("From the road", "acknowledged");
  assert.ok(await ada.page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), "nothing is cut off");
  await picture(ada, "chat-phone-dark");
});

/** Opens the page as somebody, in a browser profile of their own, and waits until it is connected. */
async function enter(t, name, options = { viewport: { width: 1280, height: 800 } }) {
  const page = await browser.page(t, options);
  const id = (testId) => page.getByTestId(testId);
  const line = (text) => id("messages").locator("li", { hasText: text }).first();
  const person = {
    page,
    id,
    status: (state) => page.locator(`[data-testid=status][data-state=${state}]`).waitFor(),
    present: (who) => id("people").locator("li", { hasText: who }).first().waitFor(),
    absent: (who) => id("people").locator("li", { hasText: who }).first().waitFor({ state: "detached" }),
    shows: (text) => line(text).waitFor(),
    marked: (text, state) => id("messages").locator(`li[data-state=${state}]`, { hasText: text }).first().waitFor(),
    texts: () => id("messages").locator("li .text").allTextContents(),
    async say(text) {
      await id("message").fill(text);
      await id("send").click();
    },
  };
  await page.goto(server.url);
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
