// The stock client with the stock MessagePack parser.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import parser from "socket.io-msgpack-parser";
import { client, collect, connect, connected, next, overEachTransport } from "../support/client.mjs";
import { PATIENT, useServer } from "../support/server.mjs";
import { BINARY_VALUES, JSON_VALUES, comparable } from "./values.mjs";

const server = useServer(...PATIENT, "--parser", "msgpack");

// The client's own encoder writes these as something else.
const DISTORTED = ["large integers", "fractions", "own key __proto__", "a view into a larger buffer"];
const VALUES = {
  ...Object.fromEntries(Object.entries({ ...JSON_VALUES, ...BINARY_VALUES }).filter(([name]) => !DISTORTED.includes(name))),
  "integers of 64 bits": [2 ** 53 - 1, 1 - 2 ** 53, 2 ** 63],
  "fractions that are no integers": [0.1, -1.5, 5e-324],
};

overEachTransport((transports) => {
  const join = (t, namespace, options) => connect(t, server.url + namespace, { transports, parser, ...options });

  describe("values", () => {
    for (const [name, value] of Object.entries(VALUES)) {
      test(`${name}: to the server, in its event and in its ack`, async (t) => {
        const main = await join(t, "/");
        const back = next(main, "message-back");
        main.emit("message", value);
        assert.deepEqual((await back).map(comparable), [comparable(value)]);
        assert.deepEqual(comparable(await main.emitWithAck("message-with-ack", value)), comparable(value));
      });
    }
  });

  test("auth, refusals and namespaces", async (t) => {
    const socket = client(t, server.url, { transports, parser, auth: { token: "ü" } });
    assert.deepEqual(await next(socket, "auth"), [{ token: "ü" }]);
    const refused = (namespace) => connected(client(t, server.url + namespace, { transports, parser })).then(assert.fail, (e) => e);
    assert.equal((await refused("/unknown")).message, "Invalid namespace");
    assert.deepEqual((await refused("/guarded")).data, { code: "E_TOKEN" });
    assert.equal(await (await join(t, "/tenant-a1")).emitWithAck("whoami"), "/tenant-a1");
  });

  test("rooms, questions, a burst", async (t) => {
    const [asking, member] = [await join(t, "/lab"), await join(t, "/lab")];
    member.on("question", (value, answer) => answer({ value, blob: Buffer.from("b") }));
    await member.emitWithAck("join", "msgpack room");
    const { answers, missing } = await asking.emitWithAck("ask-all", "msgpack room", 1, 10_000);
    assert.deepEqual([comparable(answers), missing], [[{ value: 1, blob: { bytes: "62" } }], 0]);
    assert.deepEqual(comparable(await member.emitWithAck("ask", [1])), { value: [1], blob: { bytes: "62" } });

    const burst = collect(member, "burst");
    assert.equal(await member.emitWithAck("burst", 100), 100);
    assert.equal(burst.length, 100);
    assert.ok((await member.emitWithAck("fail")).error);
  });

  test("the server disconnects a socket", async (t) => {
    const socket = await join(t, "/lab");
    const reason = next(socket, "disconnect");
    socket.emit("leave-me");
    assert.equal((await reason)[0], "io server disconnect");
  });
});
