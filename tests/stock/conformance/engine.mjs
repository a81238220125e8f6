// The cases that both protocols' suites share: whatever runs on Engine.IO must also be right as Engine.IO.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Polling, Socket, address } from "./raw.mjs";

/** Heartbeat of the server under test, in milliseconds. */
export const PING_INTERVAL = 300;
export const PING_TIMEOUT = 200;

/** `base` answers the address of the endpoint; it is known only when the tests run. */
export function handshakeCases(base) {
  describe("handshake", () => {
    describe("HTTP long-polling", () => {
      test("opens a session", async () => {
        const { status, body } = await get(base(), { transport: "polling" });
        assert.equal(status, 200);
        assert.equal(body[0], "0");
        assertHandshake(JSON.parse(body.slice(1)), ["websocket"]);
      });

      test("fails with an invalid EIO query parameter", async () => {
        assert.equal((await get(base(), { EIO: undefined, transport: "polling" })).status, 400);
        assert.equal((await get(base(), { EIO: "abc", transport: "polling" })).status, 400);
      });

      test("fails with an invalid transport query parameter", async () => {
        assert.equal((await get(base(), {})).status, 400);
        assert.equal((await get(base(), { transport: "abc" })).status, 400);
      });

      test("fails with an invalid request method", async () => {
        for (const method of ["POST", "PUT"]) {
          assert.equal((await get(base(), { transport: "polling" }, { method })).status, 400, method);
        }
      });
    });

    describe("WebSocket", () => {
      test("opens a session", async () => {
        const socket = await Socket.open(base());
        assertHandshake(socket.handshake, []);
        socket.ws.close();
      });

      test("fails with an invalid EIO query parameter", async () => {
        await refused(base(), { EIO: undefined });
        await refused(base(), { EIO: "abc" });
      });

      test("fails with an invalid transport query parameter", async () => {
        await refused(base(), { transport: undefined });
        await refused(base(), { transport: "abc" });
      });
    });
  });
}

/** `join` makes a new session do what the server demands of one that stays, so that only heartbeats are left to judge. */
export function heartbeatCases(base, { joinPolling = () => {}, joinSocket = () => {} } = {}) {
  describe("heartbeat", () => {
    describe("HTTP long-polling", () => {
      test("sends a ping and accepts the pong, three times", async () => {
        const session = await Polling.open(base());
        await joinPolling(session);
        for (let i = 0; i < 3; i++) {
          assert.equal((await session.poll()).body, "2");
          assert.deepEqual(statusAndBody(await session.push("3")), { status: 200, body: "ok" });
        }
        await session.push("1");
      });

      test("closes the session when the pong stays away", async () => {
        const session = await Polling.open(base());
        await sleep(PING_INTERVAL + PING_TIMEOUT);
        assert.equal(await session.gone(), 400);
      });
    });

    describe("WebSocket", () => {
      test("sends a ping and accepts the pong, three times", async () => {
        const socket = await Socket.open(base());
        await joinSocket(socket);
        for (let i = 0; i < 3; i++) {
          assert.equal(await socket.frame(), "2");
          socket.send("3");
        }
        socket.ws.close();
      });

      test("closes the connection when the pong stays away", async () => {
        const begin = performance.now();
        const socket = await Socket.open(base());
        await socket.closed();
        assert.ok(performance.now() - begin >= PING_INTERVAL + PING_TIMEOUT - 5);
      });
    });
  });
}

export function closeCases(base) {
  describe("close", () => {
    test("HTTP long-polling: frees the pending poll, and the session is gone", async () => {
      const session = await Polling.open(base());
      const poll = await session.pending();
      assert.equal((await session.push("1")).status, 200);
      assert.deepEqual(statusAndBody(await poll.answer), { status: 200, body: "6" });
      assert.equal((await session.poll()).status, 400);
    });

    test("WebSocket: the connection closes", async () => {
      const socket = await Socket.open(base());
      socket.send("1");
      await socket.closed();
    });
  });
}

/** With `echo`, the server sends back what the upgraded connection says. */
export function upgradeCases(base, { echo }) {
  const assertAlive = async (socket) => {
    if (!echo) return assert.equal(socket.ws.readyState, socket.ws.OPEN);
    socket.send("4hello");
    assert.equal(await socket.frame(), "4hello");
  };

  describe("upgrade", () => {
    test("goes from HTTP long-polling to WebSocket", async () => {
      const session = await Polling.open(base());
      const socket = await Socket.probe(base(), session.sid);
      assert.deepEqual(statusAndBody(await session.poll()), { status: 200, body: "6" });
      socket.send("5");
      await assertAlive(socket);
      socket.ws.close();
    });

    test("ignores HTTP requests with the same sid afterwards", async () => {
      const session = await Polling.open(base());
      const socket = await Socket.probe(base(), session.sid);
      socket.send("5");
      // A poll that overtakes the `5` is freed by a noop; the next one must then be refused.
      assert.equal(await session.gone(), 400);
      await assertAlive(socket);
      socket.ws.close();
    });

    test("closes a second WebSocket with the same sid", async () => {
      const session = await Polling.open(base());
      const socket = await Socket.probe(base(), session.sid);
      socket.send("5");
      const second = new Socket(base(), { sid: session.sid });
      await second.closed();
      await assertAlive(socket);
      socket.ws.close();
    });
  });
}

export function statusAndBody({ status, body }) {
  return { status, body };
}

function assertHandshake(handshake, upgrades) {
  assert.equal(typeof handshake.sid, "string");
  assert.ok(handshake.sid.length > 0);
  assert.deepEqual(
    { ...handshake, sid: "" },
    { sid: "", upgrades, pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, maxPayload: 1_000_000 },
  );
}

async function get(base, parameters, options) {
  const response = await fetch(address(base, parameters), options);
  return { status: response.status, body: await response.text() };
}

/** A handshake that is refused opens no WebSocket, or one that closes without a word. */
async function refused(base, parameters) {
  const socket = new Socket(base, parameters);
  const said = socket.frame().catch(() => undefined);
  await socket.closed();
  assert.equal(await said, undefined);
}
