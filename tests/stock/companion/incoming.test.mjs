// What the companion hears: in order, each once to a document that lives, and what cannot be had is told.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { memoryCursor, memoryOutbox, reliable } from "../../../clients/js/tenfour.js";
import { within } from "../support/patience.mjs";
import { FakeServer, FakeSocket, chance, openDocument } from "../support/world.mjs";

const EVENTS = 40;
const numbers = (count) => Array.from({ length: count }, (_, index) => index);

/** A document over `storage`, which ends with the test and writes what it hears into `heard`. */
function life(t, server, { storage = { cursor: memoryCursor() }, heard = [], ...rest } = {}) {
  const document = openDocument(server, { outbox: memoryOutbox(), ...storage, ...rest });
  t.after(() => document.dead || document.kill());
  document.lost = [];
  document.chat.on("tick", (number) => document.dead || heard.push(number));
  document.chat.addEventListener("lost", ({ detail }) => document.lost.push(detail));
  return document;
}

async function until(what, condition) {
  await within(what, (async () => {
    while (!condition()) await sleep(1);
  })());
}

test("each event once and in order, under any schedule of cuts and reloads", async (t) => {
  const rounds = Array.from({ length: 100 }, (_, seed) => faultyLife(t, seed + 1));
  const reloads = (await Promise.all(rounds)).reduce((sum, count) => sum + count, 0);
  assert.ok(reloads > 50, `${reloads} reloads`);
});

async function faultyLife(t, seed) {
  const random = chance(seed);
  const server = new FakeServer();
  const cursor = memoryCursor();
  const heard = [];
  let faults = 20;
  let reloads = 0;
  const fault = () => random() < 0.1 && faults-- > 0;
  let document = life(t, server, { storage: { cursor }, heard, fault });
  document.socket.connect();
  await until(`first connection of seed ${seed}`, () => document.socket.connected);
  // Until then there is no session to come back to.
  while (!(await cursor.load())) await sleep(1);
  for (let number = 0; number < EVENTS; number++) {
    server.publish("tick", number);
    if (random() < 0.3) await sleep(1);
    if (random() < 0.1) {
      reloads += 1;
      document.kill();
      document = life(t, server, { storage: { cursor }, heard, fault });
      document.socket.connect();
    }
    assert.deepEqual(document.lost, []);
  }
  await until(`all events of seed ${seed}`, () => heard.length >= EVENTS);
  assert.deepEqual(heard, numbers(EVENTS), `seed ${seed}`);
  document.kill();
  return reloads;
}

test("a handler that works asynchronously is waited for; a reload in between brings the event again", async (t) => {
  const server = new FakeServer();
  const cursor = memoryCursor();
  const begun = [];
  const first = life(t, server, { storage: { cursor } });
  first.chat.on("slow", (number) => {
    begun.push(number);
    return number === 1 ? new Promise(() => {}) : sleep(2);
  });
  first.socket.connect();
  await until("connection", () => first.socket.connected);
  for (const number of [0, 1, 2]) server.publish("slow", number);
  await until("second event", () => begun.length === 2);
  await sleep(10);
  assert.deepEqual(begun, [0, 1], "the third waits");
  first.kill();
  const again = [];
  const second = life(t, server, { storage: { cursor } });
  second.chat.on("slow", (number) => void again.push(number));
  second.socket.connect();
  await until("both again", () => again.length === 2);
  assert.deepEqual(again, [1, 2]);
  assert.equal(second.chat.recovered, true);
});

test("a handler that throws gets its event again, alone, and nothing overtakes it", async (t) => {
  const server = new FakeServer();
  const heard = [];
  const { chat, socket } = life(t, server, { heard });
  const failures = [];
  let tries = 0;
  chat.on("tick", (number) => {
    if (number === 1 && ++tries < 3) throw new Error("not yet");
  });
  chat.addEventListener("error", (event) => {
    event.preventDefault();
    failures.push([event.detail.event, event.detail.args, event.detail.attempt, event.detail.error.message]);
  });
  socket.connect();
  await until("connection", () => socket.connected);
  for (const number of [0, 1, 2]) server.publish("tick", number);
  await until("all", () => heard.length === 3);
  assert.deepEqual(heard, [0, 1, 2], "the handler that had it does not get it twice");
  assert.deepEqual(failures, [1, 2].map((attempt) => ["tick", [1], attempt, "not yet"]));
});

test("an event that no handler can take is passed over when it is told to be", async (t) => {
  const server = new FakeServer();
  const { chat, socket } = life(t, server);
  const passed = [];
  chat.on("job", async (job) => {
    if (job === "poison") throw new Error("never");
    passed.push(job);
  });
  chat.addEventListener("error", (event) => {
    event.preventDefault();
    if (event.detail.attempt === 2) event.detail.skip();
  });
  socket.connect();
  await until("connection", () => socket.connected);
  server.publish("job", "poison");
  server.publish("job", "good");
  await until("the next", () => passed.length === 1);
  assert.deepEqual(passed, ["good"]);
});

test("more than may wait: the connection is cut, and what was not taken comes again", async (t) => {
  const server = new FakeServer();
  const { chat, socket } = life(t, server, { options: { backlog: 10 } });
  const heard = [];
  let open;
  const gate = new Promise((resolve) => (open = resolve));
  chat.on("job", async (number) => {
    if (number === 0) await gate;
    heard.push(number);
  });
  let cuts = 0;
  socket.on("disconnect", () => (cuts += 1));
  socket.connect();
  await until("connection", () => socket.connected);
  for (let number = 0; number < EVENTS; number++) server.publish("job", number);
  await until("cut", () => cuts === 1);
  await sleep(20);
  assert.ok(!socket.connected, "it waits with the next connection until there is room");
  open();
  await until("all", () => heard.length === EVENTS);
  assert.deepEqual(heard, numbers(EVENTS));
});

test("what still comes when the connection is cut is not taken out of its order", async (t) => {
  const server = new FakeServer();
  const { chat, socket } = life(t, server, { options: { backlog: 10 } });
  const heard = [];
  let open;
  const gate = new Promise((resolve) => (open = resolve));
  chat.on("job", async (number) => {
    if (number === 0) await gate;
    heard.push(number);
  });
  // There is room again before the connection is gone.
  socket.cut = () => {
    open();
    setTimeout(() => FakeSocket.prototype.cut.call(socket), 20);
  };
  socket.connect();
  await until("connection", () => socket.connected);
  for (let number = 0; number < EVENTS; number++) server.publish("job", number);
  await until("all", () => heard.length >= EVENTS);
  assert.deepEqual(heard, numbers(EVENTS));
});

test("what is no longer there is told at its place, once", async (t) => {
  const server = new FakeServer();
  const cursor = memoryCursor();
  const first = life(t, server, { storage: { cursor } });
  first.socket.connect();
  await until("connection", () => first.socket.connected);
  server.publish("tick", 0);
  while ((await cursor.load())?.offset === undefined) await sleep(1);
  first.kill();
  for (const number of [1, 2, 3]) server.publish("tick", number);
  server.trim(2);
  const story = [];
  const second = life(t, server, { storage: { cursor } });
  second.chat.on("tick", (number) => void story.push(number));
  second.chat.addEventListener("lost", ({ detail }) => story.push(detail));
  second.socket.connect();
  await until("loss", () => story.length === 1);
  assert.equal(second.chat.recovered, false);
  server.publish("tick", 4);
  await until("event", () => story.length === 2);
  assert.deepEqual(story, [{ after: "@1", through: "@4", count: 3, exact: true, reason: "retention" }, 4]);
  second.socket.cut();
  server.publish("tick", 5);
  await until("replay", () => story.length === 3);
  assert.equal(second.chat.recovered, true);
  assert.deepEqual(story.slice(1), [4, 5]);
});

test("a loss that a reload met before it was told is told to the next page", async (t) => {
  const server = new FakeServer();
  const cursor = memoryCursor();
  const first = life(t, server, { storage: { cursor } });
  first.socket.connect();
  await until("connection", () => first.socket.connected);
  server.publish("tick", 0);
  await sleep(10);
  first.kill();
  server.publish("tick", 1);
  server.trim(2);
  // The session's name arrives, and the page dies before what is told first.
  const second = life(t, server, { storage: { cursor }, fault: (where) => where === "event" });
  second.socket.connect();
  await until("connection", () => second.socket.connected);
  await sleep(10);
  assert.deepEqual(second.lost, []);
  second.kill();
  const third = life(t, server, { storage: { cursor } });
  third.socket.connect();
  await until("loss", () => third.lost.length === 1);
  assert.equal(third.lost[0].count, 1);
});

test("events without an offset, arguments behind it, and a server without recovery", async (t) => {
  const server = new FakeServer();
  const { chat, socket } = life(t, server);
  const heard = [];
  for (const event of ["fleeting", "plain"]) chat.on(event, (...args) => void heard.push(args));
  socket.connect();
  await until("connection", () => socket.connected);
  server.emit("fleeting", { a: 1 });
  server.publish("plain", "a", "b");
  await until("both", () => heard.length === 2);
  socket.accepted(undefined); // As a server without sessions answers.
  server.emit("plain", "a", "b");
  await until("all", () => heard.length === 3);
  assert.deepEqual(heard, [[{ a: 1 }], ["a", "b"], ["a", "b"]]);
});

test("the application's own auth stays, as a value and as a function", async (t) => {
  for (const own of [{ token: 1 }, (answer) => setImmediate(answer, { token: 1 })]) {
    const server = new FakeServer();
    const claims = [];
    const { connect } = server;
    server.connect = (socket, auth) => (claims.push(auth), connect.call(server, socket, auth));
    const socket = new FakeSocket(server);
    socket.auth = own;
    const cursor = memoryCursor();
    cursor.save({ pid: "pid-0", offset: "@0" });
    const chat = reliable(socket, { cursor, outbox: memoryOutbox() });
    t.after(() => (socket.disconnect(), chat.close()));
    socket.connect();
    await until("connection", () => socket.connected);
    assert.deepEqual(claims, [{ token: 1, pid: "pid-0", offset: "@0" }]);
    assert.throws(() => reliable(socket), /autoConnect/);
    chat.close();
    assert.equal(socket.auth, own);
  }
});

test("forgetting ends the session", async (t) => {
  const server = new FakeServer();
  const cursor = memoryCursor();
  const outbox = memoryOutbox();
  const first = life(t, server, { storage: { cursor, outbox } });
  first.socket.connect();
  await until("connection", () => first.socket.connected);
  server.publish("tick", 0);
  first.socket.disconnect();
  await first.chat.emit("say", 0).kept;
  await first.chat.forget();
  assert.equal(await cursor.load(), undefined);
  assert.deepEqual(await outbox.first(Infinity), []);
});
