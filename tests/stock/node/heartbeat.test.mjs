// Links that are dead without having been closed. The heartbeat here is the conformance one: 300 ms and 200 ms.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, eventually, next, overEachTransport, upgraded } from "../support/client.mjs";
import { startProxy } from "../support/proxy.mjs";
import { useServer } from "../support/server.mjs";

overEachTransport((transports) => {
  const server = useServer();

  test("an idle client stays connected over several heartbeats", async (t) => {
    const socket = await connect(t, `${server.url}/lab`, { transports });
    const { id } = socket;
    await sleep(2_000); // four times what a client without heartbeats has
    assert.ok(socket.connected);
    assert.equal(socket.id, id);
    assert.equal(await socket.timeout(5_000).emitWithAck("echo", 1), 1);
  });

  test("both sides notice a half-open link", async (t) => {
    const proxy = await startProxy(t, server.url);
    const observer = await connect(t, `${server.url}/lab`);
    const socket = await connect(t, `${proxy.url}/lab`, { transports });
    if (transports.includes("websocket")) await upgraded(socket);
    const { id } = socket;
    const lost = next(socket, "disconnect");
    proxy.stall();
    assert.equal((await lost)[0], "ping timeout");
    await eventually("departure of the socket", async () => (await ids(observer))?.includes(id) === false);
  });
});

/** Nothing is known while the observer itself is reconnecting: this heartbeat is tight for a busy machine. */
function ids(observer) {
  return observer.timeout(2_000).emitWithAck("sockets").catch(() => undefined);
}
