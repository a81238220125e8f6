// Events and acknowledgements, both ways, with every kind of value; timeouts, retries, volatile.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { client, collect, connect, connected, eventually, next, overEachTransport, uniqueBase } from "../support/client.mjs";
import { PATIENT, useServer } from "../support/server.mjs";
import { BINARY_VALUES, JSON_VALUES, comparable } from "./values.mjs";

const server = useServer(...PATIENT);

overEachTransport((transports) => {
  const lab = (t, options) => connect(t, `${server.url}/lab`, { transports, ...options });

  describe("values", () => {
    for (const [name, value] of Object.entries({ ...JSON_VALUES, ...BINARY_VALUES })) {
      test(`${name}: to the server, in its event and in its ack`, async (t) => {
        const main = await connect(t, server.url, { transports });
        const back = next(main, "message-back");
        main.emit("message", value);
        assert.deepEqual((await back).map(comparable), [comparable(value)]);
        assert.deepEqual(comparable(await main.emitWithAck("message-with-ack", value)), comparable(value));
      });
    }

    test("no argument, one, and many", async (t) => {
      const [main, socket] = [await connect(t, server.url, { transports }), await lab(t)];
      const twenty = Array.from({ length: 20 }, (_, index) => (index % 3 ? index : Buffer.from([index])));
      for (const args of [[], [null], ["a", "b"], [[], {}], twenty.slice(0, 19), [Buffer.from("a"), 1, Buffer.from("b")]]) {
        const back = next(main, "message-back");
        main.emit("message", ...args);
        assert.deepEqual((await back).map(comparable), args.map(comparable));
        assert.deepEqual((await acknowledged(main, "message-with-ack", ...args)).map(comparable), args.map(comparable));
        assert.deepEqual((await acknowledged(socket, "echo", ...args)).map(comparable), args.map(comparable));
      }
    });

    test("event names of every kind", async (t) => {
      const socket = await lab(t);
      for (const name of ["", "ü 😀", '"quoted"', "a,b-c/d", "error", "1", "\u2028", "x".repeat(1_000)]) {
        const event = next(socket, name);
        socket.emit("in", socket.id, name, "value");
        assert.deepEqual(await event, ["value"], name);
      }
    });

    test("catch-all listeners see what the server emits", async (t) => {
      const socket = await lab(t);
      const seen = new Promise((resolve) => socket.onAny((...event) => resolve(event)));
      socket.emit("in", socket.id, "anything", 1, [2]);
      assert.deepEqual(await seen, ["anything", 1, [2]]);
    });
  });

  describe("acknowledgements", () => {
    test("the server's come for the right request, in order", async (t) => {
      const socket = await lab(t);
      const numbers = Array.from({ length: 200 }, (_, index) => index);
      const order = [];
      const answers = await Promise.all(
        numbers.map(async (number) => {
          const answer = await socket.emitWithAck("echo", number);
          order.push(answer);
          return answer;
        }),
      );
      assert.deepEqual(answers, numbers);
      assert.deepEqual(order, numbers);
    });

    test("the client's answer the server's question: JSON and binary", async (t) => {
      const socket = await lab(t);
      socket.on("question", (value, answer) => answer({ to: value, blob: Buffer.from("blob") }));
      assert.deepEqual(comparable(await socket.emitWithAck("ask", "you")), {
        to: "you",
        blob: { bytes: Buffer.from("blob").toString("hex") },
      });
      assert.deepEqual(comparable(await socket.emitWithAck("ask", Buffer.from([1]))).to, { bytes: "01" });
    });

    test("a question that the client does not answer is an error at the server", async (t) => {
      const socket = await lab(t);
      const answer = await socket.timeout(10_000).emitWithAck("ask", "silence");
      assert.ok(answer.error, JSON.stringify(answer));
    });

    test("a timeout at the client, when the server is late or does not answer", async (t) => {
      const socket = await lab(t);
      await assert.rejects(socket.timeout(50).emitWithAck("slow", 400, "late"), /timed out/);
      await assert.rejects(socket.timeout(50).emitWithAck("no such event"), /timed out/);
      // The late answer disturbs nobody.
      assert.equal(await socket.timeout(5_000).emitWithAck("slow", 1, "in time"), "in time");
      assert.equal(await socket.timeout(5_000).emitWithAck("echo", "after"), "after");
    });
  });

  describe("retries", () => {
    test("an answer that comes in time ends the attempts", async (t) => {
      const socket = await lab(t, { retries: 3, ackTimeout: 5_000 });
      const base = uniqueBase();
      for (let i = 0; i < 20; i++) socket.emit("tell", base + i);
      await socket.emitWithAck("echo", "queued behind them");
      assert.deepEqual(
        (await socket.emitWithAck("log")).filter((number) => number >= base && number < base + 20),
        Array.from({ length: 20 }, (_, index) => base + index),
      );
    });

    test("answers that are late fail the message after its last attempt, and the queue goes on", async (t) => {
      const socket = await lab(t, { retries: 2, ackTimeout: 100 });
      const failed = new Promise((resolve) => socket.emit("slow", 500, "late", (...args) => resolve(args)));
      const [error] = await failed;
      assert.match(error.message, /timed out/);
      // The server may still be busy with the slow attempts, one after the other.
      assert.equal(await socket.timeout(5_000).emitWithAck("echo", "next"), "next");
    });

    test("without a connection the queue waits for one", async (t) => {
      const socket = client(t, `${server.url}/lab`, { transports, autoConnect: false, retries: 1, ackTimeout: 5_000 });
      const answers = Promise.all([1, 2, 3].map((number) => socket.emitWithAck("echo", number)));
      socket.connect();
      assert.deepEqual(await answers, [1, 2, 3]);
    });
  });

  describe("volatile", () => {
    test("the server's reach a healthy client, in order and once; nothing after them waits", async (t) => {
      const socket = await lab(t);
      const ticks = collect(socket, "tick");
      // Between two polls there is nobody to take them: then all may be dropped.
      await eventually("tick", async () => {
        ticks.length = 0;
        assert.equal(await socket.emitWithAck("volatile", 1_000), 1_000);
        return ticks.length > 0;
      });
      const numbers = ticks.flat();
      assert.deepEqual(numbers, [...new Set(numbers)].toSorted((a, b) => a - b));
    });

    test("the client's, without a connection, are never sent", async (t) => {
      const base = uniqueBase();
      const socket = client(t, `${server.url}/lab`, { transports, autoConnect: false });
      socket.volatile.emit("tell", base);
      socket.emit("tell", base + 1);
      await connected(socket.connect());
      const log = await socket.emitWithAck("log");
      assert.ok(!log.includes(base));
      assert.ok(log.includes(base + 1));
    });
  });
});

/** All arguments of the acknowledgement; `emitWithAck` answers only the first. */
function acknowledged(socket, event, ...args) {
  return new Promise((resolve, reject) => {
    socket.emit(event, ...args, (error, ...answer) => (error ? reject(error) : resolve(answer)));
  });
}
