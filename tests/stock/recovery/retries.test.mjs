// The stock client's `retries`: with an idempotency key, and without.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client, connected, eventually, next } from "../support/client.mjs";
import { startProxy } from "../support/proxy.mjs";
import { application, folder, letIn, onReference, restart, useApplication } from "../support/recovery.mjs";

const server = useApplication();
const RETRIES = { retries: 9, ackTimeout: 150 };
let values = 0;
const ownValue = () => `value-${process.pid}-${++values}`;

test("with a key: an event that is repeated because its answer is slow is handled once, and answered", async (t) => {
  const socket = await retrying(t, server.url, "/keyed");
  const value = ownValue();
  const answering = socket.emitWithAck("work", value, value, 600);
  if (onReference) {
    await assert.rejects(answering, /timed out/, "each try is a run of its own, and each is too slow");
    return assert.ok((await server.ran())[value] > 1);
  }
  const answer = await answering;
  assert.deepEqual(answer, { value, runs: 1 });
  assert.equal((await server.ran())[value], 1);
});

test("without a key: the same is handled at least once, which is more than once here", async (t) => {
  const socket = await retrying(t, server.url, "/");
  const value = ownValue();
  socket.emit("work", value, value, 600);
  await eventually("second run", async () => (await server.ran())[value] > 1);
});

test("with a key: an event whose answer was lost with the connection is answered again, from memory", async (t) => {
  const proxy = await startProxy(t, server.url);
  const socket = await retrying(t, proxy.url, "/keyed", { ackTimeout: 5_000 });
  const value = ownValue();
  const lost = next(socket, "disconnect");
  const answering = socket.emitWithAck("work", value, value, 100);
  await eventually("run", async () => (await server.ran())[value] === 1);
  proxy.block();
  await lost;
  await letIn(proxy, socket);
  const answer = await answering;
  if (onReference) return assert.ok((await server.ran())[value] > 1);
  assert.deepEqual(answer, { value, runs: 1 });
  assert.equal((await server.ran())[value], 1);
});

test("with a key: the answer survives kill -9", async (t) => {
  if (onReference) return; // it remembers nothing
  const data = ["--data", await folder(t)];
  let running = await application(t, ...data);
  const socket = await retrying(t, running.url, "/keyed");
  const value = ownValue();
  const first = await socket.emitWithAck("work", value, value, 0);
  running = await restart(t, running, "SIGKILL", ...data);
  await connected(socket);
  const again = await socket.emitWithAck("work", value, value, 0);
  assert.deepEqual(again, first);
  assert.deepEqual((await running.ran())[value], undefined, "it did not run in the new process");
});

test("with a key: another event under a key that was used is refused", async (t) => {
  if (onReference) return; // it knows no keys
  const socket = await retrying(t, server.url, "/keyed", { retries: 0 });
  const key = ownValue();
  assert.deepEqual(await socket.emitWithAck("work", key, `${key}-a`, 0), { value: `${key}-a`, runs: 1 });
  const answer = await socket.emitWithAck("work", key, `${key}-b`, 0);
  assert.match(JSON.stringify(answer), /error/);
  assert.equal((await server.ran())[`${key}-b`], undefined);
});

test("with keys: a hundred events over many cuts are handled once each, in order", async (t) => {
  const proxy = await startProxy(t, server.url);
  const socket = await retrying(t, proxy.url, "/keyed", { ackTimeout: 5_000, retries: 1_000 });
  const base = ownValue();
  const COUNT = 100;
  const answers = [];
  const all = Array.from({ length: COUNT }, async (_, i) => {
    answers.push(await socket.emitWithAck("work", `${base}-${i}`, `${base}-${i}`, 0));
  });
  for (let cut = 1; cut <= 8; cut++) {
    await eventually("answers", () => answers.length >= cut * 10);
    proxy.inflict("reset");
  }
  await Promise.all(all);
  const ran = await server.ran();
  const runs = Array.from({ length: COUNT }, (_, i) => ran[`${base}-${i}`]);
  if (onReference) return assert.ok(runs.every((count) => count >= 1));
  assert.deepEqual(runs, Array(COUNT).fill(1));
  assert.deepEqual(answers, Array.from({ length: COUNT }, (_, i) => ({ value: `${base}-${i}`, runs: 1 })));
});

/** A client that repeats what is not acknowledged; connected. */
async function retrying(t, url, namespace, options = {}) {
  const socket = client(t, url + namespace, { transports: ["websocket"], ...RETRIES, ...options });
  return connected(socket);
}
