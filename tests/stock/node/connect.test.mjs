// Connecting: identity, auth, refusal, how connections end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client, collect, connect, connected, eventually, next, overEachTransport, upgraded } from "../support/client.mjs";
import { PATIENT, useServer } from "../support/server.mjs";

const server = useServer(...PATIENT);

overEachTransport((transports) => {
  const lab = (t, options) => connect(t, `${server.url}/lab`, { transports, ...options });

  test("connects, by the transport asked for", async (t) => {
    const socket = await lab(t);
    assert.ok(socket.id);
    if (transports.length > 1) await upgraded(socket);
    assert.equal(socket.io.engine.transport.name, transports.at(-1));
    assert.deepEqual(await socket.emitWithAck("rooms"), [socket.id]);
  });

  test("has a public id that is not the connection's secret one", async (t) => {
    const [one, other] = [await lab(t), await lab(t)];
    assert.equal(new Set([one.id, other.id, one.io.engine.id, other.io.engine.id]).size, 4);
  });

  test("is told its auth: none, an object, a function", async (t) => {
    const told = async (auth) => {
      const socket = client(t, server.url, { transports, auth });
      return (await next(socket, "auth"))[0];
    };
    assert.deepEqual(await told(undefined), {});
    assert.deepEqual(await told({ token: "ü😀", nested: { list: [1, null] } }), { token: "ü😀", nested: { list: [1, null] } });
    assert.deepEqual(await told((give) => setTimeout(give, 5, { token: "from a function" })), {
      token: "from a function",
    });
  });

  test("a function is asked for auth at each connection", async (t) => {
    let asked = 0;
    const socket = client(t, server.url, { transports, auth: (give) => give({ asked: ++asked }) });
    assert.deepEqual(await next(socket, "auth"), [{ asked: 1 }]);
    socket.io.engine.close();
    assert.deepEqual(await next(socket, "auth"), [{ asked: 2 }]);
  });

  test("query and headers reach the handshake", async (t) => {
    const socket = await lab(t, { query: { room: "a b&c" }, extraHeaders: { "X-Lab": "yes" }, auth: { a: 1 } });
    const { auth, query, headers } = await socket.emitWithAck("handshake");
    assert.deepEqual(auth, { a: 1 });
    assert.equal(query.room, "a b&c");
    assert.equal(query.EIO, "4");
    assert.equal(query.transport, transports[0]);
    assert.equal(headers["x-lab"], "yes");
  });

  test("middleware refuses with message and data, and admits who has the token", async (t) => {
    const socket = client(t, `${server.url}/guarded`, { transports, auth: { token: "wrong" } });
    const error = await connected(socket).then(assert.fail, (error) => error);
    assert.equal(error.message, "not authorised");
    assert.deepEqual(error.data, { code: "E_TOKEN" });
    assert.equal(socket.active, false, "a refusal is final until the application connects again");

    socket.auth = { token: "letmein" };
    await connected(socket.connect());
  });

  test("the client's disconnect is final", async (t) => {
    const [socket, observer] = [await lab(t), await lab(t)];
    const { id } = socket;
    const reason = next(socket, "disconnect");
    socket.disconnect();
    assert.equal((await reason)[0], "io client disconnect");
    await gone(observer, id);
    await connected(socket.connect());
    assert.notEqual(socket.id, id);
  });

  test("the server disconnects a socket: final for the client, the connection stays", async (t) => {
    const socket = await lab(t);
    const other = await connected(socket.io.socket("/"));
    const reason = next(socket, "disconnect");
    socket.emit("leave-me");
    assert.equal((await reason)[0], "io server disconnect");
    assert.equal(socket.active, false);
    assert.deepEqual(await other.emitWithAck("message-with-ack", "still here"), "still here");
  });

  test("the server closes the connection: every namespace is gone, and no socket comes back", async (t) => {
    const socket = await lab(t);
    const other = await connected(socket.io.socket("/"));
    const reasons = Promise.all([next(socket, "disconnect"), next(other, "disconnect")]);
    socket.emit("kick");
    const [[reason], [otherReason]] = await reasons;
    assert.equal(reason, "io server disconnect");
    assert.ok(["io server disconnect", "transport close"].includes(otherReason), otherReason);
    assert.equal(socket.active, false);
  });

  test("what the server says before it closes the connection arrives", async (t) => {
    const socket = await lab(t);
    const words = collect(socket, "last words");
    const lost = next(socket, "disconnect");
    for (let i = 0; i < 10; i++) socket.emit("in", socket.id, "last words", i);
    socket.emit("kick");
    assert.equal((await lost)[0], "io server disconnect");
    assert.deepEqual(words.flat(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("a handler that fails answers an error, and the socket goes on", async (t) => {
    const socket = await lab(t);
    const answer = await socket.timeout(5_000).emitWithAck("fail");
    assert.ok(answer.error, JSON.stringify(answer));
    assert.equal(await socket.emitWithAck("echo", 1), 1);
  });

  test("socket data is kept per socket", async (t) => {
    const [one, other] = [await lab(t), await lab(t)];
    await one.emitWithAck("set-data", { name: "Ada", tags: [1, "two"] });
    assert.deepEqual(await one.emitWithAck("get-data"), { name: "Ada", tags: [1, "two"] });
    assert.deepEqual((await other.emitWithAck("get-data")) ?? {}, {});
  });
});

const gone = (observer, id) =>
  eventually(`departure of ${id}`, async () => !(await observer.emitWithAck("sockets")).includes(id));
