// The chat page in Chromium through every fault, reloads and kill -9, and an account of what became of each line.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { useBrowser } from "../support/browser.mjs";
import { FAULTS, startProxy } from "../support/proxy.mjs";
import { start, words } from "../support/server.mjs";
import { chance } from "../support/world.mjs";

const COMMAND = words(process.env.TENFOUR_CHAT_COMMAND);
/** Milliseconds for which faults happen. */
const STORM = 15_000;
/** Milliseconds in which all is well again. A connection that died in silence is noticed within 45 s. */
const CALM = 60_000;
const browser = useBrowser();

test("two pages through every fault: nothing is lost, repeated or reordered", { skip: !COMMAND, timeout: 150_000 }, async (t) => {
  const random = chance(Number(process.env.TENFOUR_SEED ?? 5));
  const data = mkdtempSync(join(tmpdir(), "tenfour-faults-"));
  let server = await start(COMMAND, ["--data", data]);
  t.after(async () => {
    await server.stop();
    rmSync(data, { recursive: true });
  });
  const { address } = server;
  const people = await Promise.all(["Ada", "Grace"].map((name) => enter(t, name, server.url)));
  const account = { sent: 0, reloads: 0, kills: 0, faults: {} };

  const end = Date.now() + STORM;
  const talk = async (person) => {
    for (; Date.now() < end; await sleep(150 + random() * 250)) {
      const text = `${person.name} ${person.said.length + 1}`;
      person.said.push(text);
      await person.say(text);
      account.sent += 1;
      if (person.said.length % 15 === 0) {
        account.reloads += 1;
        await person.page.reload({ waitUntil: "commit" });
      }
    }
  };
  const trouble = async () => {
    const kinds = Object.keys(FAULTS);
    for (let turn = 0; Date.now() < end; turn++) {
      await sleep(400 + random() * 600);
      const fault = kinds[turn % kinds.length];
      people[Math.floor(random() * people.length)].proxy.inflict(fault);
      account.faults[fault] = (account.faults[fault] ?? 0) + 1;
    }
  };
  const kill = async () => {
    for (; account.kills < 2; account.kills++) {
      await sleep(STORM / 3);
      await server.stop("SIGKILL");
      server = await start(COMMAND, ["--data", data, "--listen", address]);
    }
  };
  await Promise.all([...people.map(talk), trouble(), kill()]);

  const calm = Date.now() + CALM;
  const isOver = async () => {
    const lines = await Promise.all(people.map((person) => person.lines()));
    return lines.every((own) => own.length >= account.sent && own.every(({ number }) => number > 0));
  };
  while (!(await isOver()) && Date.now() < calm) await sleep(100);

  const views = await Promise.all(people.map((person) => person.lines()));
  Object.assign(account, { lost: 0, duplicated: 0, reordered: 0, told: 0 });
  for (const [index, lines] of views.entries()) {
    const texts = lines.map(({ text }) => text);
    account.duplicated += texts.length - new Set(texts).size;
    account.told += await people[index].page.locator(".gap").count();
    for (const { name, said } of people) {
      const heard = texts.filter((text) => text.startsWith(`${name} `));
      account.lost += said.filter((text) => !heard.includes(text)).length;
      account.reordered += heard.filter((text, place) => text !== said[place]).length;
    }
  }
  t.diagnostic(JSON.stringify(account));
  assert.deepEqual(views[0], views[1], "both see the same lines under the same numbers");
  const { lost, duplicated, reordered, told } = account;
  assert.deepEqual({ lost, duplicated, reordered, told }, { lost: 0, duplicated: 0, reordered: 0, told: 0 });
  assert.ok(account.sent > 30 && Object.keys(account.faults).length === Object.keys(FAULTS).length && account.reloads > 0);
});

/** Somebody's page, behind a proxy of its own. */
async function enter(t, name, url) {
  const proxy = await startProxy(t, url);
  const page = await browser.page(t);
  await page.goto(proxy.url);
  await page.locator("[data-testid=status][data-state=connected]").waitFor();
  await page.getByTestId("name").fill(name);
  await page.getByTestId("name").press("Enter");
  await page.getByTestId("people").locator("li", { hasText: name }).first().waitFor();
  const composer = page.getByTestId("message");
  return {
    name,
    page,
    proxy,
    said: [],
    /** A page that is being loaded through a dead connection takes a while, and no line is said before it is there. */
    async say(text) {
      for (;;) {
        try {
          await composer.fill(text, { timeout: 2_000 });
          await composer.press("Enter", { timeout: 2_000 });
          return;
        } catch {
          await page.goto(proxy.url, { timeout: 5_000 }).catch(() => {});
        }
      }
    },
    lines: () =>
      page.evaluate(() =>
        [...document.querySelectorAll("[data-testid=messages] li:not(.notice)")].map((item) => ({
          number: Number(item.querySelector(".number").textContent),
          text: item.querySelector(".text").textContent,
        })),
      ),
  };
}
