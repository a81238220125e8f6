// Many messages, large ones, many clients: nothing is lost, nothing overtakes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client, collect, connect, connected, eventually, overEachTransport, uniqueBase, upgraded } from "../support/client.mjs";
import { PATIENT, onReference, useServer } from "../support/server.mjs";
import { Polling, Socket } from "../conformance/raw.mjs";

const server = useServer(...PATIENT);
const KB40 = "x".repeat(40_000);

overEachTransport((transports) => {
  const lab = (t, options) => connect(t, `${server.url}/lab`, { transports, ...options });

  test("50,000 events on one connection arrive in order", async (t) => {
    const socket = await lab(t);
    const COUNT = 50_000;
    for (let i = 0; i < COUNT; i++) socket.emit("order", i);
    assert.deepEqual(await socket.emitWithAck("order", COUNT), { next: COUNT + 1, inversions: 0, count: COUNT + 1 });
  });

  test("a burst of 1,000 events from the server arrives whole, before the acknowledgement after it", async (t) => {
    const socket = await lab(t);
    const burst = collect(socket, "burst");
    assert.equal(await socket.emitWithAck("burst", 1_000), 1_000);
    assert.deepEqual(burst.flat(), Array.from({ length: 1_000 }, (_, index) => index + 1));
  });

  test("twelve events of 40 kB right after the connection arrive in order, both ways", async (t) => {
    const socket = client(t, `${server.url}/lab`, { transports });
    const parts = collect(socket, "part");
    const sent = new Promise((resolve) => {
      socket.once("connect", () => {
        for (let i = 0; i < 12; i++) socket.emit("in", socket.id, "part", i, KB40);
        for (let i = 0; i < 12; i++) socket.emit("order", i, KB40);
        resolve(socket.emitWithAck("order", 12));
      });
    });
    assert.deepEqual(await sent, { next: 13, inversions: 0, count: 13 });
    assert.deepEqual(parts.map(([number]) => number), Array.from({ length: 12 }, (_, index) => index));
    assert.ok(parts.every(([, text]) => text === KB40));
    if (transports.length > 1) await upgraded(socket);
  });

  test("fifty clients that emit and at once disconnect: every event reaches the server", async (t) => {
    const base = uniqueBase();
    const COUNT = 50;
    for (let i = 0; i < COUNT; i++) {
      const socket = await lab(t);
      socket.emit("tell", base + i);
      socket.disconnect();
    }
    const observer = await lab(t);
    const told = async () => (await observer.emitWithAck("log")).filter((n) => n >= base && n < base + COUNT).length;
    if (onReference && transports.includes("websocket")) {
      // The reference lets DISCONNECT overtake the event before it, on WebSocket.
      assert.ok((await told()) < COUNT);
    } else {
      await eventually("complete log", async () => (await told()) === COUNT);
    }
  });

  test("1,000 clients that emit as they connect: every event reaches the server", async (t) => {
    const base = uniqueBase();
    const [COUNT, AT_ONCE] = [1_000, 50];
    for (let first = 0; first < COUNT; first += AT_ONCE) {
      const sockets = Array.from({ length: AT_ONCE }, () => client(t, `${server.url}/lab`, { transports, upgrade: false }));
      await Promise.all(sockets.map((socket, index) => socket.emitWithAck("tell", base + first + index)));
      for (const socket of sockets) socket.disconnect();
    }
    const observer = await lab(t);
    const log = (await observer.emitWithAck("log")).filter((n) => n >= base && n < base + COUNT);
    assert.deepEqual(log.toSorted((a, b) => a - b), Array.from({ length: COUNT }, (_, index) => base + index));
  });
});

test("twelve events of 40 kB, one poll, then the upgrade: all arrive, in order", async () => {
  const base = `${server.url}/socket.io/`;
  const session = await Polling.open(base);
  await session.push("40/lab,");
  const { sid } = connectReply((await session.poll()).body);
  const request = (number) => `42/lab,${JSON.stringify(["in", sid, "part", number, KB40])}`;
  await session.push(Array.from({ length: 12 }, (_, number) => request(number)).join("\x1e"));

  const received = (await session.poll()).body.split("\x1e");
  const socket = await Socket.probe(base, session.sid);
  socket.send("5");
  while (received.length < 12) received.push(await socket.frame());
  socket.ws.close();
  assert.deepEqual(
    received.map((packet) => JSON.parse(packet.slice("42/lab,".length))[1]),
    Array.from({ length: 12 }, (_, number) => number),
  );
});

test("1,000 connections that send an event in one breath with CONNECT: none is lost", async (t) => {
  const base = uniqueBase();
  const [COUNT, AT_ONCE] = [onReference ? 50 : 1_000, 50];
  for (let first = 0; first < COUNT; first += AT_ONCE) {
    const sockets = await Promise.all(Array.from({ length: AT_ONCE }, () => Socket.open(`${server.url}/socket.io/`)));
    sockets.forEach((socket, index) => {
      socket.send("40/lab,");
      socket.send(`42/lab,0["tell",${base + first + index}]`);
    });
    const answers = await Promise.all(
      sockets.map(async (socket) => [await socket.frame(), await socket.frame()].map((frame) => frame.slice(0, 8))),
    ).catch((error) => error);
    for (const socket of sockets) socket.ws.close();
    // The reference knows no event before it has answered CONNECT: it closes the connection.
    if (onReference) return assert.match(answers.message, /^closed/);
    for (const [connect, acknowledged] of answers) assert.deepEqual([connect, acknowledged], ["40/lab,{", "43/lab,0"]);
  }
  const observer = await connect(t, `${server.url}/lab`);
  const log = (await observer.emitWithAck("log")).filter((n) => n >= base && n < base + COUNT);
  assert.equal(log.length, COUNT);
});

function connectReply(packet) {
  assert.ok(packet.startsWith("40/lab,"), packet);
  return JSON.parse(packet.slice("40/lab,".length));
}
