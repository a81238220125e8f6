// What the companion emits: in order, once, and not without being told, whatever happens to connection and page.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { Undelivered, memoryCursor, memoryOutbox } from "../../../clients/js/tenfour.js";
import { within } from "../support/patience.mjs";
import { FakeServer, chance, openDocument } from "../support/world.mjs";

const MESSAGES = 12;
const said = (server) => server.effects.map(({ args }) => args[0]);

for (const window of [1, 5]) {
  describe(`a window of ${window}`, () => {
    test("nothing is lost, doubled or disordered under any schedule of faults", async () => {
      const rounds = Array.from({ length: 150 }, (_, seed) => faultyLife(seed + 1, window));
      const repeated = (await Promise.all(rounds)).filter((server) => server.received.length > MESSAGES);
      assert.ok(repeated.length > 75, `faults that repeat nothing prove nothing: ${repeated.length}`);
    });

    test("nothing is lost, doubled or disordered by a reload at any step", async () => {
      const steps = await lifeWithReload(Infinity, window);
      assert.ok(steps > 4 * MESSAGES, `${steps} steps`);
      for (let at = 1; at <= steps; at++) await lifeWithReload(at, window);
    });
  });
}

/** Sends all messages through a bad network, with reloads, until everything is settled; then looks. */
async function faultyLife(seed, window) {
  const random = chance(seed);
  const server = new FakeServer();
  const storage = { outbox: memoryOutbox(), cursor: memoryCursor() };
  const settled = [];
  let faults = 25;
  const fault = () => random() < 0.15 && faults-- > 0;
  let deaths = 3;
  const step = () => random() < 0.02 && deaths-- > 0;
  let next = 0;
  let document;
  const live = () => {
    document = openDocument(server, { ...storage, fault, step, options: { window } });
    document.chat.addEventListener("settled", ({ detail }) => document.dead || settled.push(detail.key));
    document.socket.connect();
  };
  live();
  const converged = async () => {
    while (next < MESSAGES || (await storage.outbox.first(1)).length > 0) {
      if (document.dead) live();
      // Whoever does not hear that it is kept has to say it again, after a look at what is.
      else if (next < MESSAGES && (await isKept(document, next))) next += 1;
      await sleep(1);
    }
  };
  await within(`end of seed ${seed}`, converged());
  document.kill();
  assert.deepEqual(said(server), numbers(MESSAGES), `seed ${seed}`);
  assert.equal(new Set(settled).size, settled.length, `seed ${seed}: acknowledged twice`);
  return server;

  async function isKept({ chat }, number) {
    const kept = chat.emit("say", number).kept.then(() => true, () => false);
    while (!document.dead) if (await Promise.race([kept, sleep(1)])) return true;
    const entries = await storage.outbox.first(Infinity);
    return entries.some(({ args }) => args[0] === number) || said(server).includes(number);
  }
}

/** Emits everything at once and reloads at one step; answers how many steps there were. */
async function lifeWithReload(at, window) {
  const server = new FakeServer();
  const storage = { outbox: memoryOutbox(), cursor: memoryCursor() };
  let steps = 0;
  const settled = [];
  const first = openDocument(server, { ...storage, step: () => ++steps === at, options: { window } });
  first.chat.addEventListener("settled", ({ detail }) => first.dead || settled.push(detail.key));
  first.socket.connect();
  const kept = [];
  for (let number = 0; number < MESSAGES; number++) first.chat.emit("say", number).kept.then(() => kept.push(number), () => {});
  await quiet(first, storage);
  if (first.dead) {
    const second = openDocument(server, { ...storage, options: { window } });
    second.chat.addEventListener("settled", ({ detail }) => settled.push(detail.key));
    second.socket.connect();
    await quiet(second, storage);
    second.kill();
  } else first.kill();
  const heard = said(server);
  assert.deepEqual(heard, numbers(heard.length), `reload at step ${at}: order`);
  assert.ok(kept.length <= heard.length, `reload at step ${at}: ${kept.length} kept, ${heard.length} said`);
  assert.equal(new Set(settled).size, settled.length, `reload at step ${at}: acknowledged twice`);
  return steps;
}

/** Until the outbox is empty, or the document dead. */
async function quiet(document, { outbox }) {
  await within("empty outbox", (async () => {
    do await sleep(1);
    while (!document.dead && (await outbox.first(1)).length > 0);
  })());
}

const numbers = (count) => Array.from({ length: count }, (_, index) => index);

/** A document with storage of its own, which ends with the test. */
function life(t, server, { outbox = memoryOutbox(), fault, options } = {}) {
  const document = openDocument(server, { outbox, cursor: memoryCursor(), fault, options });
  t.after(() => document.dead || document.kill());
  return document;
}

test("an answer resolves, and what is answered is out of the outbox first", async (t) => {
  const outbox = memoryOutbox();
  const { chat, socket } = life(t, new FakeServer(), { outbox });
  const emission = chat.emit("say", { deep: [1, null, "ü"] });
  assert.match(emission.key, /^[\w-]{22}$/);
  await emission.kept;
  assert.deepEqual((await chat.pending()).map(({ key, args }) => [key, args]), [[emission.key, [{ deep: [1, null, "ü"] }]]]);
  let left;
  chat.addEventListener("settled", () => (left = outbox.first(1)));
  socket.connect();
  assert.deepEqual(await emission, { number: 1 });
  assert.deepEqual(await left, []);
});

test("what is emitted is kept as it was", async (t) => {
  const server = new FakeServer();
  const { chat, socket } = life(t, server);
  const value = { text: "before" };
  const emission = chat.emit("say", value);
  value.text = "after";
  socket.connect();
  await emission;
  assert.deepEqual(said(server), [{ text: "before" }]);
});

test("a refusal is for good, is told twice over, and holds nothing up", async (t) => {
  const server = new FakeServer();
  server.refuse = (_, [text]) => text === "bad" && { error: "too rude" };
  const { chat, socket } = life(t, server);
  const failed = new Promise((resolve) => chat.addEventListener("failed", ({ detail }) => resolve(detail), { once: true }));
  const bad = chat.emit("say", "bad");
  const good = chat.emit("say", "good");
  socket.connect();
  await assert.rejects(bad, { name: "Undelivered", code: "refused", message: "too rude" });
  assert.equal((await failed).key, bad.key);
  assert.deepEqual(await good, { number: 1 });
  assert.deepEqual(await chat.pending(), []);
});

test("what is put off is sent again, before what is behind it", async (t) => {
  const server = new FakeServer();
  let tries = 0;
  server.refuse = () => ++tries <= 3 && { error: "too much at once", retry_after: 5 };
  const { chat, socket } = life(t, server);
  const all = [chat.emit("say", 0), chat.emit("say", 1)];
  socket.connect();
  await Promise.all(all);
  assert.deepEqual(said(server), [0, 1]);
  assert.equal(server.received.length, 5);
});

test("what got no answer within the time of dedup is given up, and told: it might be doubled", async (t) => {
  const server = new FakeServer();
  server.dedupMs = 300; // It is the server that says so.
  const { chat, socket } = life(t, server, { fault: (where) => where === "mute", options: { timeout: 10 } });
  const emission = chat.emit("say", 0);
  socket.connect();
  await assert.rejects(emission, { code: "indeterminate" });
  assert.deepEqual(said(server), [0]);
  assert.ok(server.received.length > 1, "it was tried again while that was safe");
});

test("that it was sent is known after a reload, too", async (t) => {
  const server = new FakeServer();
  server.dedupMs = 30;
  const outbox = memoryOutbox();
  const first = life(t, server, { outbox, fault: (where) => where === "mute" });
  first.socket.connect();
  first.chat.emit("say", 0);
  while (server.received.length === 0) await sleep(1);
  first.kill();
  await sleep(40);
  const second = life(t, server, { outbox });
  const failed = new Promise((resolve) => second.chat.addEventListener("failed", ({ detail }) => resolve(detail.error)));
  second.socket.connect();
  assert.equal((await within("end", failed)).code, "indeterminate");
  assert.equal(server.received.length, 1);
});

test("what never left is not given up, however late it is", async (t) => {
  const server = new FakeServer();
  server.dedupMs = 1;
  const { chat, socket } = life(t, server);
  const emission = chat.emit("say", 0);
  await sleep(20);
  socket.connect();
  assert.deepEqual(await emission, { number: 1 });
});

test("`late: retry` sends it nevertheless", async (t) => {
  const server = new FakeServer();
  server.dedupMs = 5;
  let mute = 5;
  const fault = (where) => where === "mute" && mute-- > 0;
  const { chat, socket } = life(t, server, { fault, options: { timeout: 10, late: "retry" } });
  const emission = chat.emit("say", 0);
  socket.connect();
  assert.deepEqual(await emission, { number: 1 });
});

test("what cannot be taken is refused at once, and nothing is dropped for it", async (t) => {
  const outbox = memoryOutbox({ entries: 2, bytes: 300, message: 150 });
  const { chat, socket } = life(t, new FakeServer(), { outbox });
  const [one, two] = [chat.emit("say", "x"), chat.emit("say", "y")];
  await assert.rejects(chat.emit("say", "z"), { code: "full", message: /2 entries/ });
  await assert.rejects(chat.emit("say", "x".repeat(200)), { code: "large" });
  assert.throws(() => chat.emit("connect"), TypeError);
  assert.throws(() => chat.emit("say", 1n), TypeError);
  socket.connect();
  assert.deepEqual([await one, await two], [{ number: 1 }, { number: 2 }]);
  const wide = chat.emit("say", "x".repeat(90));
  assert.deepEqual(await wide, { number: 3 }, "there is room again");
});

test("storage that fails refuses what is new, and is tried again for what is there", async (t) => {
  const outbox = memoryOutbox();
  let broken = true;
  const moody = { ...outbox, first: async (count) => (broken ? Promise.reject(new Error("no disk")) : outbox.first(count)) };
  const { chat, socket } = life(t, new FakeServer(), { outbox: moody });
  const error = new Promise((resolve) => chat.addEventListener("error", (event) => (event.preventDefault(), resolve(event.detail.error))));
  socket.connect();
  const emission = chat.emit("say", 0);
  assert.equal((await error).message, "no disk");
  broken = false;
  assert.deepEqual(await emission, { number: 1 });
  const dead = life(t, new FakeServer(), { outbox: { ...outbox, add: async () => Promise.reject(new Error("no disk")) } });
  await assert.rejects(dead.chat.emit("say", 0), { code: "storage", message: /no disk/ });
});

test("who closes leaves it to the next one", async (t) => {
  const server = new FakeServer();
  const outbox = memoryOutbox();
  const first = life(t, server, { outbox });
  const emission = first.chat.emit("say", 0);
  await emission.kept;
  first.kill();
  await assert.rejects(emission, { code: "closed" });
  const second = life(t, server, { outbox });
  const settled = new Promise((resolve) => second.chat.addEventListener("settled", ({ detail }) => resolve(detail)));
  second.socket.connect();
  assert.deepEqual(await settled, { key: emission.key, event: "say", args: [0], answer: { number: 1 } });
  assert.ok(new Undelivered("full", "x") instanceof Error);
});
