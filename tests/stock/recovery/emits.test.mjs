// What a client emits without asking for an acknowledgement: what the stock client loses, and what it does not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, connected, eventually, next } from "../support/client.mjs";
import { behindProxy, cutOff, letIn, useApplication } from "../support/recovery.mjs";

const server = useApplication();
let values = 0;
const ownValue = () => `value-${++values}`;
const WEBSOCKET = { transports: ["websocket"] };

test("what is emitted into a link that is dead without a word is lost", async (t) => {
  const { socket, proxy } = await behindProxy(t, server, WEBSOCKET);
  const [dead, alive] = [ownValue(), ownValue()];
  proxy.inflict("silence");
  socket.emit("work", "", dead, 0);
  const lost = next(socket, "disconnect");
  socket.io.engine.close();
  await lost;
  await connected(socket);
  await socket.emitWithAck("work", "", alive, 0);
  const ran = await server.ran();
  assert.deepEqual([ran[dead], ran[alive]], [undefined, 1]);
});

test("what is emitted while the client knows that it is offline waits for it, and comes once", async (t) => {
  const { socket, proxy } = await behindProxy(t, server, WEBSOCKET);
  const value = ownValue();
  await cutOff(proxy, socket);
  socket.emit("work", "", value, 0);
  await letIn(proxy, socket);
  await socket.emitWithAck("me");
  assert.equal((await server.ran())[value], 1);
});

test("an event with an acknowledgement whose link is cut fails at the client, though it was handled", async (t) => {
  const { socket, proxy } = await behindProxy(t, server, WEBSOCKET);
  const value = ownValue();
  const failed = assert.rejects(socket.emitWithAck("work", "", value, 10_000), /disconnected/);
  await eventually("run", async () => (await server.ran())[value] === 1);
  proxy.inflict("cut");
  await failed;
});

test("what waits in a stock client is gone with its page, its retries as well", async (t) => {
  const { socket, proxy } = await behindProxy(t, server, { ...WEBSOCKET, retries: 10, ackTimeout: 1_000 });
  const value = ownValue();
  await cutOff(proxy, socket);
  socket.emit("work", value, value, 0);
  socket.disconnect();
  proxy.restore();
  const reloaded = await connect(t, proxy.url, WEBSOCKET);
  await reloaded.emitWithAck("me");
  assert.equal((await server.ran())[value], undefined);
});
