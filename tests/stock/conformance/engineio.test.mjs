// Engine.IO protocol v4: 25 cases.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useServer } from "../support/server.mjs";
import { closeCases, handshakeCases, heartbeatCases, statusAndBody, upgradeCases } from "./engine.mjs";
import { Polling, Socket } from "./raw.mjs";

const server = useServer();
const base = () => `${server.url}/engine.io/`;

handshakeCases(base);

describe("message", () => {
  describe("HTTP long-polling", () => {
    test("sends and receives a text packet", async () => {
      const session = await Polling.open(base());
      assert.deepEqual(statusAndBody(await session.push("4hello")), { status: 200, body: "ok" });
      assert.deepEqual(statusAndBody(await session.poll()), { status: 200, body: "4hello" });
      await session.push("1");
    });

    test("sends and receives several text packets in one payload", async () => {
      const session = await Polling.open(base());
      const payload = "4test1\x1e4test2\x1e4test3";
      assert.equal((await session.push(payload)).status, 200);
      assert.deepEqual(statusAndBody(await session.poll()), { status: 200, body: payload });
      await session.push("1");
    });

    test("sends and receives text and binary in one payload", async () => {
      const session = await Polling.open(base());
      const payload = "4hello\x1ebAQIDBA==";
      assert.equal((await session.push(payload)).status, 200);
      assert.deepEqual(statusAndBody(await session.poll()), { status: 200, body: payload });
      await session.push("1");
    });

    test("closes the session upon an invalid packet", async () => {
      const session = await Polling.open(base());
      // The protocol leaves open whether this answer tells; the next one must.
      await session.push("abc").catch(() => {});
      assert.equal((await session.poll()).status, 400);
    });

    test("closes the session upon duplicate poll requests", async () => {
      const session = await Polling.open(base());
      const polls = await Promise.all([session.poll(), session.poll()]);
      const [served, duplicate] = polls.toSorted((a, b) => a.status - b.status);
      assert.deepEqual(statusAndBody(served), { status: 200, body: "1" });
      assert.ok([400, 500].includes(duplicate.status));
      assert.equal((await session.poll()).status, 400);
    });

    test("closes the session upon a cancelled poll request", async () => {
      const session = await Polling.open(base());
      const controller = new AbortController();
      const poll = await session.pending({ signal: controller.signal });
      controller.abort();
      await assert.rejects(poll.answer, { name: "AbortError" });
      assert.equal((await session.poll()).status, 400);
    });
  });

  describe("WebSocket", () => {
    test("sends and receives a text packet", async () => {
      const socket = await Socket.open(base());
      socket.send("4hello");
      assert.equal(await socket.frame(), "4hello");
      socket.ws.close();
    });

    test("sends and receives a binary packet", async () => {
      const socket = await Socket.open(base());
      const sent = Buffer.from([1, 2, 3, 4]);
      socket.send(sent);
      assert.deepEqual(await socket.frame(), sent);
      socket.ws.close();
    });

    test("closes the connection upon an invalid packet", async () => {
      const socket = await Socket.open(base());
      socket.send("abc");
      await socket.closed();
    });
  });
});

heartbeatCases(base);
closeCases(base);
upgradeCases(base, { echo: true });
