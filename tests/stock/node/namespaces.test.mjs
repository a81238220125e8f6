// Namespaces on one connection, and families of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client, collect, connect, connected, filled, next, overEachTransport } from "../support/client.mjs";
import { PATIENT, useServer } from "../support/server.mjs";

const server = useServer(...PATIENT);

overEachTransport((transports) => {
  const join = (t, namespace, options) => connect(t, server.url + namespace, { transports, ...options });

  test("an unknown one is refused", async (t) => {
    const error = await connected(client(t, `${server.url}/unknown`, { transports })).then(assert.fail, (error) => error);
    assert.equal(error.message, "Invalid namespace");
  });

  test("several share a connection, each with its own id and events", async (t) => {
    const lab = await join(t, "/lab");
    const custom = await connected(lab.io.socket("/custom", { auth: { who: "custom" } }));
    const main = await connected(lab.io.socket("/"));
    assert.equal(new Set([lab.id, custom.id, main.id]).size, 3);

    const [atCustom, atMain] = [collect(custom, "message-back"), collect(main, "message-back")];
    custom.emit("message", "c");
    main.emit("message", "m");
    assert.deepEqual(await filled(atCustom, 1), [["c"]]);
    assert.deepEqual(await filled(atMain, 1), [["m"]]);
    // An acknowledgement is after all that the server sent before it.
    await Promise.all([custom, main].map((socket) => socket.emitWithAck("message-with-ack", 1)));
    assert.deepEqual([atCustom.length, atMain.length], [1, 1]);
  });

  test("each is authorised on its own", async (t) => {
    const lab = await join(t, "/lab");
    const guarded = lab.io.socket("/guarded", { auth: { token: "wrong" } });
    const error = await connected(guarded).then(assert.fail, (error) => error);
    assert.deepEqual(error.data, { code: "E_TOKEN" });
    assert.equal(await lab.emitWithAck("echo", "unharmed"), "unharmed");
    guarded.auth = { token: "letmein" };
    await connected(guarded.connect());
  });

  test("leaving one keeps the others, and it can be joined again", async (t) => {
    const lab = await join(t, "/lab");
    const custom = await connected(lab.io.socket("/custom"));
    custom.disconnect();
    assert.equal(await lab.emitWithAck("echo", "still here"), "still here");
    const again = next(custom, "auth");
    await connected(custom.connect());
    await again;
    assert.equal(await custom.emitWithAck("message-with-ack", "back"), "back");
  });

  test("a family: each member is a namespace of its own", async (t) => {
    const [one, other] = [await join(t, "/tenant-a1"), await join(t, "/tenant-B2")];
    assert.equal(await one.emitWithAck("whoami"), "/tenant-a1");
    assert.equal(await other.emitWithAck("whoami"), "/tenant-B2");
    for (const outsider of ["/tenant-", "/tenant-a_b", "/tenant-a/b", "/x/tenant-a"]) {
      const error = await connected(client(t, server.url + outsider, { transports })).then(assert.fail, (error) => error);
      assert.equal(error.message, "Invalid namespace", outsider);
    }
  });
});
