// A server that dies and comes back on its data: what clients, and publishers, notice of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, connected, eventually, filled, next } from "../support/client.mjs";
import { startProxy } from "../support/proxy.mjs";
import { application, folder, letIn, numbers, onReference, received, restart, settled } from "../support/recovery.mjs";

for (const signal of ["SIGKILL", "SIGTERM"]) {
  test(`${signal}: sessions, rooms and data survive it, twice, and nothing acknowledged is lost`, async (t) => {
    const data = ["--data", await folder(t)];
    let server = await application(t, ...data);
    const proxy = await startProxy(t, server.url);
    const socket = await connect(t, proxy.url, { auth: { rooms: ["news"] } });
    const got = received(socket, "n");
    const { id } = socket;
    await socket.emitWithAck("set-data", { name: "Ada" });
    await server.publishMany("news", "n", 0, 5);
    await filled(got, 5);
    for (const round of [1, 2]) {
      await socket.emitWithAck("join", `late-${round}`);
      await server.publishMany("news", "n", 10 * round - 5, 5); // perhaps under way when it dies
      const lost = next(socket, "disconnect");
      server = await restart(t, server, signal, ...data);
      await lost;
      await server.publishMany(`late-${round}`, "n", 10 * round, 5);
      await connected(socket);
      if (onReference) return assert.ok(!socket.recovered);
      await filled(got, 10 * round + 5);
      assert.ok(socket.recovered);
    }
    await settled(server, socket);
    assert.deepEqual(got, numbers(0, 25));
    assert.deepEqual(await socket.emitWithAck("me"), {
      id, recovered: true, rooms: ["late-1", "late-2", "news"], data: { name: "Ada" },
    });
  });
}

test("a room that was left before kill -9 stays left, and a session that was closed stays closed", async (t) => {
  if (onReference) return; // it remembers nothing
  const data = ["--data", await folder(t)];
  let server = await application(t, ...data);
  const proxy = await startProxy(t, server.url);
  const socket = await connect(t, proxy.url, { auth: { rooms: ["kept", "left"] } });
  const closed = await connect(t, proxy.url, { auth: { rooms: ["kept"] } });
  const got = received(socket, "n");
  await socket.emitWithAck("leave", "left");
  const { _pid: pid } = closed;
  closed.disconnect();
  await eventually("departure", async () => (await server.sockets()).length === 1);

  proxy.block();
  server = await restart(t, server, "SIGKILL", ...data);
  await server.publish({ to: ["left"] }, "n", -1);
  await server.publish({ to: ["kept"] }, "n", 1);
  await letIn(proxy, socket);
  await filled(got, 1);
  await settled(server, socket);
  assert.ok(socket.recovered);
  assert.deepEqual(got, [1]);
  closed.connect();
  await connected(closed);
  assert.notEqual(closed._pid, pid);
});

test("a publish that is repeated under its key is published once, over kill -9 too, and answers its first offset", async (t) => {
  const data = ["--data", await folder(t)];
  let server = await application(t, ...data);
  const socket = await connect(t, server.url, { auth: { rooms: ["news"] } });
  const got = received(socket, "n");
  const to = { to: ["news"], key: "once" };
  const first = await server.publish(to, "n", 1);
  const again = await server.publish(to, "n", 1);
  server = await restart(t, server, "SIGKILL", ...data);
  const afterwards = await server.publish(to, "n", 1);
  const other = await server.publish({ to: ["news"], key: "another" }, "n", 2);
  await connected(socket);
  if (onReference) return assert.ok(got.length > 1);
  await filled(got, 2);
  await settled(server, socket);
  assert.deepEqual(got, [1, 2]);
  assert.equal(first.duplicate, false);
  assert.deepEqual([again, afterwards], [{ ...first, duplicate: true }, { ...first, duplicate: true }]);
  assert.equal(other.duplicate, false);
  await assert.rejects(server.publish(to, "n", "something else"), { status: 409 });
});

test("publishers that wait for their acknowledgement lose nothing to kill -9, and repeat nothing", async (t) => {
  if (onReference) return; // it has neither keys nor a disk
  const data = ["--data", await folder(t)];
  let server = await application(t, ...data);
  const proxy = await startProxy(t, server.url);
  const socket = await connect(t, proxy.url, { auth: { rooms: ["news"] } });
  const got = received(socket, "n");
  const LANES = 16;
  const EACH = 60;
  let acknowledged = 0;
  const publish = async (n) => {
    for (;;) {
      try {
        return await server.publish({ to: ["news"], key: `n-${n}` }, "n", n);
      } catch (error) {
        if (error.status) throw error; // only a server that is not there is asked again
        await new Promise(setImmediate);
      }
    }
  };
  const lane = async (first) => {
    for (let i = 0; i < EACH; i++, acknowledged++) await publish(first + i);
  };
  const lanes = numbers(0, LANES).map((n) => lane(n * EACH));
  for (const kill of [1, 2]) {
    await eventually("publishes", () => acknowledged >= kill * 200);
    server = await restart(t, server, "SIGKILL", ...data);
  }
  await Promise.all(lanes);
  await filled(got, LANES * EACH);
  await settled(server, socket);
  assert.ok(socket.recovered);
  assert.equal(got.length, LANES * EACH, "nothing twice");
  assert.deepEqual(got.toSorted((a, b) => a - b), numbers(0, LANES * EACH), "nothing lost");
  for (const n of numbers(0, LANES)) {
    const ofLane = got.filter((number) => Math.floor(number / EACH) === n);
    assert.deepEqual(ofLane, numbers(n * EACH, EACH), "each publisher's in its order");
  }
});

test("a second server on the same folder is refused, and the first is not disturbed", async (t) => {
  if (onReference) return; // it has no folder
  const data = ["--data", await folder(t)];
  const server = await application(t, ...data);
  const socket = await connect(t, server.url, { auth: { rooms: ["news"] } });
  const got = received(socket, "n");
  await assert.rejects(application(t, ...data), /another|in use|lock/i);
  await server.publish({ to: ["news"] }, "n", 1);
  await filled(got, 1);
});

test("without a folder a restart is a new log: sessions are new, and the client is told", async (t) => {
  if (onReference) return; // it says nothing
  let server = await application(t);
  const proxy = await startProxy(t, server.url);
  const socket = await connect(t, proxy.url, { auth: { rooms: ["news"] } });
  const [got, lost] = [received(socket, "n"), received(socket, "tenfour:lost")];
  await server.publish({ to: ["news"] }, "n", 1);
  await filled(got, 1);
  proxy.block();
  server = await restart(t, server, "SIGKILL");
  await letIn(proxy, socket);
  assert.ok(!socket.recovered);
  await filled(lost, 1);
  await server.publish({ to: ["news"] }, "n", 2);
  await filled(got, 2);
  assert.deepEqual(got, [1, 2]);
});
