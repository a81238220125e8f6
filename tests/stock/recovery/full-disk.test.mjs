// A disk that is full: what cannot be committed is refused, and what was acknowledged is kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, eventually, filled } from "../support/client.mjs";
import { application, folder, onReference, received, settled } from "../support/recovery.mjs";
import { Ballast, onSmallDisk } from "../support/small-disk.mjs";

const MIB = 1 << 20;

test("p, q: a full disk refuses what is published, with its reason, keeps what it has, and recovers with the space", async (t) => {
  if (onReference) return; // it has no disk
  const data = await folder(t);
  const under = (command) => onSmallDisk(command, data, 16 * MIB);
  const server = await application(t, { under }, "--data", data);
  const ballast = new Ballast(server.pid, data);
  const socket = await connect(t, server.url, { auth: { rooms: ["news"] }, transports: ["websocket"] });
  const keyed = await connect(t, `${server.url}/keyed`, { transports: ["websocket"] });
  const [got, emitted] = [received(socket, "n"), received(socket, "emitted")];
  await server.publish({ to: ["news"] }, "n", 0);
  await ballast.fill();

  // What the log took of the disk ahead is used up first.
  const bulk = "x".repeat(20_000);
  const acknowledged = [];
  for (const payload of [bulk, "x".repeat(1_000), ""]) {
    const refusal = await publishUntilRefused(server, acknowledged, payload);
    assert.equal(refusal.status, 503);
    assert.match(refusal.message, /full|space/i);
  }
  await server.emit({ to: ["news"] }, "emitted", "still here");
  await filled(emitted, 1);
  await settledAt(got, [0, ...acknowledged]);
  assert.equal((await socket.emitWithAck("work", "", "unkeyed", 0)).value, "unkeyed", "what needs no log goes on");
  assert.match(JSON.stringify(await workUntilRefused(keyed, bulk)), /full|space|again/i, "no answer that cannot be kept");

  await ballast.free();
  await eventually("recovery", () => server.publish({ to: ["news"] }, "n", -1, bulk).catch(() => false));
  await settled(server, socket);
  assert.deepEqual(got, [0, ...acknowledged, -1]);
  assert.deepEqual(await keyed.emitWithAck("work", "later", "later", 0), { value: "later", runs: 1 });
});

/** Publishes the numbers after `acknowledged` until one is refused, and answers why. */
async function publishUntilRefused(server, acknowledged, payload) {
  for (;;) {
    const n = (acknowledged.at(-1) ?? 0) + 1;
    assert.ok(n < 20_000, "the disk was never full");
    try {
      await server.publish({ to: ["news"] }, "n", n, payload);
      acknowledged.push(n);
    } catch (refusal) {
      return refusal;
    }
  }
}

/** Works under ever new keys until an answer is an error, or none, and answers that. */
async function workUntilRefused(keyed, bulk) {
  for (let n = 0; n < 1_000; n++) {
    const answer = await keyed.timeout(2_000).emitWithAck("work", `key-${n}`, `${n}-${bulk}`, 0).catch(({ message }) => ({ message }));
    if (answer.runs === undefined) return answer;
  }
  throw new Error("the disk was never full");
}

/** What was refused reached nobody. */
async function settledAt(got, expected) {
  await filled(got, expected.length);
  assert.deepEqual(got, expected);
}
