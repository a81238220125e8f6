// A disk that is full: what cannot be committed is refused, and what was acknowledged is kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, filled } from "../support/client.mjs";
import { application, folder, numbers, onReference, received, settled } from "../support/recovery.mjs";
import { Ballast, onSmallDisk } from "../support/small-disk.mjs";

const MIB = 1 << 20;

test("p, q: a full disk refuses what is published, with its reason, keeps what it has, and recovers with the space", async (t) => {
  if (onReference) return; // it has no disk
  const data = await folder(t);
  const under = (command) => onSmallDisk(command, data, 200 * MIB);
  const server = await application(t, { under }, "--data", data);
  const ballast = new Ballast(server.pid, data);
  // Several rooms, so that none has more than the log keeps of one.
  const rooms = numbers(0, 8).map((n) => `room-${n}`);
  const socket = await connect(t, server.url, { auth: { rooms }, transports: ["websocket"] });
  const [got, emitted] = [received(socket, "n"), received(socket, "emitted")];
  await server.publish({ to: [rooms[0]] }, "n", 0);
  await ballast.fill();

  // A segment's space is taken ahead: what is left of it has to be used up before the disk is full for the log.
  const bulk = "x".repeat(400_000);
  const acknowledged = [0];
  const refusal = await (async () => {
    for (let n = 1; n < 1_000; n++) {
      try {
        await server.publish({ to: [rooms[n % 8]] }, "n", n, bulk);
        acknowledged.push(n);
      } catch (error) {
        return error;
      }
    }
    return undefined;
  })();
  assert.equal(refusal?.status, 503);
  assert.match(refusal.message, /full|space/i);
  await server.emit({ to: [rooms[0]] }, "emitted", "still here");
  await filled(emitted, 1);
  await filled(got, acknowledged.length);
  assert.deepEqual(got, acknowledged, "what was refused reached nobody");

  await ballast.free();
  await server.publish({ to: [rooms[0]] }, "n", -1, bulk);
  await settled(server, socket);
  assert.deepEqual(got, [...acknowledged, -1]);
});
