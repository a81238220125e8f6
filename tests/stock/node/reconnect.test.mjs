// What happens to a client when the link, or the server, goes away and comes back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client, connect, connected, eventually, next, overEachTransport, uniqueBase, upgraded } from "../support/client.mjs";
import { startProxy } from "../support/proxy.mjs";
import { PATIENT, startServer, useServer } from "../support/server.mjs";

const LOST = ["transport close", "transport error"];

overEachTransport((transports) => {
  const server = useServer(...PATIENT);

  test("a cut connection is noticed by both sides, and the client comes back as a new socket", async (t) => {
    const proxy = await startProxy(t, server.url);
    const observer = await connect(t, `${server.url}/lab`);
    const socket = await connect(t, `${proxy.url}/lab`, { transports });
    await upgradedIfItCan(socket, transports);
    const { id } = socket;
    await socket.emitWithAck("join", "room");

    const back = next(socket, "connect");
    assert.ok(LOST.includes(await cut(proxy, socket)));
    await back;
    assert.notEqual(socket.id, id);
    assert.deepEqual(await socket.emitWithAck("rooms"), [socket.id], "a new socket is in no room");
    await eventually("departure of the old socket", async () => !(await observer.emitWithAck("sockets")).includes(id));
  });

  test("every namespace of the connection comes back", async (t) => {
    const proxy = await startProxy(t, server.url);
    const lab = await connect(t, `${proxy.url}/lab`, { transports });
    const custom = await connected(lab.io.socket("/custom"));
    const back = Promise.all([next(lab, "connect"), next(custom, "connect")]);
    await cut(proxy, lab);
    await back;
    assert.equal(await lab.emitWithAck("echo", 1), 1);
    assert.equal(await custom.emitWithAck("message-with-ack", 2), 2);
  });

  test("what is emitted while offline arrives after it, in order", async (t) => {
    const proxy = await startProxy(t, server.url);
    const socket = await connect(t, `${proxy.url}/lab`, { transports });
    const lost = next(socket, "disconnect");
    proxy.block();
    await lost;
    const base = uniqueBase();
    for (let i = 0; i < 100; i++) socket.emit("tell", base + i);
    const back = next(socket, "connect");
    proxy.restore();
    await back;
    const log = await socket.emitWithAck("log");
    assert.deepEqual(log.filter((n) => n >= base && n < base + 100), Array.from({ length: 100 }, (_, i) => base + i));
  });

  test("a question that was under way fails at the client when the link is cut", async (t) => {
    const proxy = await startProxy(t, server.url);
    const socket = await connect(t, `${proxy.url}/lab`, { transports });
    const answer = socket.timeout(30_000).emitWithAck("slow", 1_000, "never seen");
    const rejected = assert.rejects(answer, /disconnected/);
    await cut(proxy, socket);
    await rejected;
  });

  test("retries bring every message over cuts, in order", async (t) => {
    const proxy = await startProxy(t, server.url);
    const socket = await connect(t, `${proxy.url}/lab`, { transports, retries: 50, ackTimeout: 2_000 });
    const base = uniqueBase();
    const COUNT = 60;
    await Promise.all(
      Array.from({ length: COUNT }, async (_, index) => {
        await socket.emitWithAck("tell", base + index);
        if (index % 20 === 10) await cut(proxy, socket);
      }),
    );
    const log = (await socket.emitWithAck("log")).filter((n) => n >= base && n < base + COUNT);
    // At least once: a message whose acknowledgement was lost comes again, but never after its successor.
    assert.deepEqual([...new Set(log)], Array.from({ length: COUNT }, (_, index) => base + index));
    assert.deepEqual(log, log.toSorted((a, b) => a - b));
  });

  test("the client closes its engine: the socket comes back, the server drops the old one", async (t) => {
    const observer = await connect(t, `${server.url}/lab`);
    const socket = await connect(t, `${server.url}/lab`, { transports });
    await upgradedIfItCan(socket, transports);
    const { id } = socket;
    const [lost, back] = [next(socket, "disconnect"), next(socket, "connect")];
    socket.io.engine.close();
    assert.equal((await lost)[0], "forced close");
    await back;
    assert.notEqual(socket.id, id);
    await eventually("departure of the old socket", async () => !(await observer.emitWithAck("sockets")).includes(id));
  });

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`the server ends by ${signal} and another starts at its address: the client comes back`, async (t) => {
      const first = await startServer(...PATIENT);
      const socket = client(t, `${first.url}/lab`, { transports });
      await connected(socket);
      const lost = next(socket, "disconnect");
      const { code } = await first.stop(signal);
      if (signal === "SIGTERM") assert.equal(code, 0);
      assert.ok(LOST.includes((await lost)[0]), "a server that goes away is no final disconnect");

      socket.emit("tell", 7);
      const back = next(socket, "connect");
      const second = await startServer(...PATIENT, "--listen", first.address);
      t.after(() => second.stop());
      await back;
      assert.deepEqual(await socket.emitWithAck("log"), [7]);
    });
  }
});

/** Cuts the client off until it notices (a client that polls may just have no connection to cut), and answers why. */
async function cut(proxy, socket) {
  const lost = next(socket, "disconnect");
  proxy.block();
  const [reason] = await lost;
  proxy.restore();
  return reason;
}

async function upgradedIfItCan(socket, transports) {
  if (transports.includes("websocket")) await upgraded(socket);
}
