// Socket.IO protocol v5: 32 cases.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useServer } from "../support/server.mjs";
import { closeCases, handshakeCases, heartbeatCases, upgradeCases } from "./engine.mjs";
import { Polling, Socket } from "./raw.mjs";

const server = useServer();
const base = () => `${server.url}/socket.io/`;

describe("Engine.IO", () => {
  handshakeCases(base);
  // Who joins no namespace is closed after the connect timeout, which is hardly longer than three heartbeats.
  heartbeatCases(base, { joinPolling, joinSocket });
  closeCases(base);
  upgradeCases(base, { echo: false });
});

describe("connect", () => {
  test("joins the main namespace", async () => {
    const socket = await Socket.open(base());
    socket.send("40");
    assertConnected(await socket.frame(), "40");
    assert.equal(await socket.frame(), '42["auth",{}]');
    socket.ws.close();
  });

  test("joins the main namespace with a payload", async () => {
    const socket = await Socket.open(base());
    socket.send('40{"token":"123"}');
    assertConnected(await socket.frame(), "40");
    assert.equal(await socket.frame(), '42["auth",{"token":"123"}]');
    socket.ws.close();
  });

  test("joins a custom namespace", async () => {
    const socket = await Socket.open(base());
    socket.send("40/custom,");
    assertConnected(await socket.frame(), "40/custom,");
    assert.equal(await socket.frame(), '42/custom,["auth",{}]');
    socket.ws.close();
  });

  test("joins a custom namespace with a payload", async () => {
    const socket = await Socket.open(base());
    socket.send('40/custom,{"token":"abc"}');
    assertConnected(await socket.frame(), "40/custom,");
    assert.equal(await socket.frame(), '42/custom,["auth",{"token":"abc"}]');
    socket.ws.close();
  });

  test("is refused an unknown namespace", async () => {
    const socket = await Socket.open(base());
    socket.send("40/random");
    assert.equal(await socket.frame(), '44/random,{"message":"Invalid namespace"}');
    socket.ws.close();
  });

  test("is closed upon an invalid handshake", async () => {
    const socket = await Socket.open(base());
    socket.send("4abc");
    await socket.closed();
  });

  test("is closed when no handshake comes", async () => {
    const socket = await Socket.open(base());
    await socket.closed();
  });
});

describe("disconnect", () => {
  test("leaves the main namespace, and the connection stays", async () => {
    const socket = await Socket.open(base());
    await joinSocket(socket);
    socket.send("41");
    assert.equal(await socket.frame(), "2");
    socket.ws.close();
  });

  test("leaves a custom namespace, and the main one goes on", async () => {
    const socket = await Socket.open(base());
    await joinSocket(socket);
    socket.send("40/custom");
    await framesOf(socket, 2);
    socket.send("41/custom");
    socket.send('42["message","message to main namespace"]');
    assert.equal(await socket.frame(), '42["message-back","message to main namespace"]');
    socket.ws.close();
  });
});

describe("message", () => {
  /** A socket in the main namespace that sends `frames`. */
  const sending = async (...frames) => {
    const socket = await Socket.open(base());
    await joinSocket(socket);
    for (const frame of frames) socket.send(frame);
    return socket;
  };
  const ATTACHMENTS = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];
  const PLACEHOLDERS = '{"_placeholder":true,"num":0},"test",{"_placeholder":true,"num":1}';

  test("sends and receives a plain-text event", async () => {
    const socket = await sending('42["message",1,"2",{"3":[true]}]');
    assert.equal(await socket.frame(), '42["message-back",1,"2",{"3":[true]}]');
    socket.ws.close();
  });

  test("sends and receives an event with two binary attachments", async () => {
    const socket = await sending(`452-["message",${PLACEHOLDERS}]`, ...ATTACHMENTS);
    assert.deepEqual(await framesOf(socket, 3), [`452-["message-back",${PLACEHOLDERS}]`, ...ATTACHMENTS]);
    socket.ws.close();
  });

  test("has a plain-text event acknowledged", async () => {
    const socket = await sending('42456["message-with-ack",1,"2",{"3":[false]}]');
    assert.equal(await socket.frame(), '43456[1,"2",{"3":[false]}]');
    socket.ws.close();
  });

  test("has an event with two binary attachments acknowledged", async () => {
    const socket = await sending(`452-789["message-with-ack",${PLACEHOLDERS}]`, ...ATTACHMENTS);
    assert.deepEqual(await framesOf(socket, 3), [`462-789[${PLACEHOLDERS}]`, ...ATTACHMENTS]);
    socket.ws.close();
  });

  test("closes the connection upon an unknown packet type", async () => {
    await (await sending("4abc")).closed();
  });

  test("closes the connection upon a payload that is no array", async () => {
    await (await sending("42{}")).closed();
  });

  test("closes the connection upon a malformed event", async () => {
    await (await sending('42abc["message-with-ack",1]')).closed();
  });
});

async function joinPolling(session) {
  await session.push("40");
  const packets = [];
  while (packets.length < 2) packets.push(...(await session.poll()).body.split("\x1e"));
  assertConnected(packets[0], "40");
}

/** Joins the main namespace: the server's answer, and its `auth` event. */
async function joinSocket(socket) {
  socket.send("40");
  const [answer] = await framesOf(socket, 2);
  assertConnected(answer, "40");
}

async function framesOf(socket, count) {
  const frames = [];
  while (frames.length < count) frames.push(await socket.frame());
  return frames;
}

/** The answer to CONNECT: a socket id, and nothing else. */
function assertConnected(frame, prefix) {
  assert.ok(frame.startsWith(`${prefix}{`), frame);
  const data = JSON.parse(frame.slice(prefix.length));
  assert.deepEqual(Object.keys(data), ["sid"]);
  assert.ok(typeof data.sid === "string" && data.sid.length > 0);
}
