// A session over cuts: what it keeps, how often, over which transports and packets, and how it ends.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import msgpackParser from "socket.io-msgpack-parser";
import { client, connect, connected, eventually, filled, next, overEachTransport } from "../support/client.mjs";
import { startProxy } from "../support/proxy.mjs";
import {
  application, away, behindProxy, cutOff, letIn, numbers, onReference, received, settled, useApplication,
} from "../support/recovery.mjs";

// The reference server recovers only whom it has seen go, which over polling can take a heartbeat.
const server = useApplication(...(onReference ? ["--ping-interval", "500", "--ping-timeout", "500"] : []));
let rooms = 0;
const ownRoom = () => `room-${++rooms}`;

overEachTransport((transports) => {
  test("a session is recovered again and again", async (t) => {
    const room = ownRoom();
    const { socket, proxy } = await behindProxy(t, server, { transports, auth: { rooms: [room] } });
    const got = received(socket, "n");
    const { id } = socket;
    await server.publish({ to: [room] }, "n", 0);
    await filled(got, 1);
    for (let round = 0; round < 5; round++) {
      await away(proxy, socket, async () => {
        await departed(server, id);
        await server.publishMany(room, "n", 1 + round * 3, 3);
      });
      await filled(got, 4 + round * 3);
      assert.ok(socket.recovered);
      assert.equal(socket.id, id);
    }
    await settled(server, socket);
    assert.deepEqual(got, numbers(0, 16));
  });

  test("a cut in the middle of a replay: it goes on where the client is", async (t) => {
    const room = ownRoom();
    const { socket, proxy } = await behindProxy(t, server, { transports, auth: { rooms: [room] } });
    const got = received(socket, "n");
    await server.publish({ to: [room] }, "n", 0);
    await filled(got, 1);
    await away(proxy, socket, () => server.publishMany(room, "n", 1, 1000));
    for (let round = 0; round < 3 && got.length < 1001; round++) {
      proxy.inflict("reset");
      await sleep(5);
    }
    if (onReference) return; // whether it saw the loss in time decides
    await filled(got, 1001);
    assert.deepEqual(got, numbers(0, 1001));
  });

  test("binary events are replayed as they were", async (t) => {
    const room = ownRoom();
    const { socket, proxy } = await behindProxy(t, server, { transports, auth: { rooms: [room] } });
    const got = [];
    socket.on("blob", (...args) => got.push(args));
    const blobs = [Buffer.from([0, 1, 255]), Buffer.alloc(5_000, 7)].map((bytes) => bytes.toString("base64"));
    await server.publish({ to: [room] }, "blob", 0, { base64: blobs[0] });
    await filled(got, 1);
    await away(proxy, socket, async () => {
      await departed(server, socket.id);
      await server.publish({ to: [room] }, "blob", 1, { base64: blobs[0] }, "between", { base64: blobs[1] });
      await server.publish({ to: [room] }, "blob", 2);
    });
    await filled(got, 3);
    assert.ok(socket.recovered);
    assert.deepEqual(got.map((args) => args.length), [3, 5, 2]);
    const [number, first, text, second] = got[1];
    assert.deepEqual([number, text], [1, "between"]);
    assert.deepEqual([first, second].map((bytes) => Buffer.from(bytes).toString("base64")), blobs);
  });
});

test("over MessagePack packets too", async (t) => {
  const packed = await application(t, "--parser", "msgpack");
  const { socket, proxy } = await behindProxy(t, packed, { parser: msgpackParser, auth: { rooms: ["news"] } });
  const got = [];
  socket.on("n", (...args) => got.push(args));
  await packed.publish({ to: ["news"] }, "n", 1);
  await filled(got, 1);
  await away(proxy, socket, async () => {
    await departed(packed, socket.id);
    await packed.publish({ to: ["news"] }, "n", 2, { nested: [null, 1.5, "text"] });
    await packed.publish({ to: ["news"] }, "n", 3, { base64: "AP8=" });
  });
  await filled(got, 3);
  assert.ok(socket.recovered);
  assert.deepEqual(got.map(([n]) => n), [1, 2, 3]);
  assert.deepEqual(got[1][1], { nested: [null, 1.5, "text"] });
  assert.deepEqual(Buffer.from(got[2][1]), Buffer.from([0, 255]));
});

test("rooms and data come back, and what was left stays left", async (t) => {
  const [kept, left, late] = [ownRoom(), ownRoom(), ownRoom()];
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [kept, left] } });
  const got = received(socket, "n");
  await socket.emitWithAck("leave", left);
  await socket.emitWithAck("join", late);
  await socket.emitWithAck("set-data", { name: "Ada", visits: 3 });
  await server.publish({ to: [kept] }, "n", 1);
  await filled(got, 1);
  const { id } = socket;
  await away(proxy, socket, async () => {
    await departed(server, id);
    await server.publish({ to: [left] }, "n", -1);
    await server.publish({ to: [late] }, "n", 2);
    await server.publish({ to: [kept, late] }, "n", 3);
    await server.publish({ to: [kept], except: [late] }, "n", -2);
    await server.publish({ to: [id] }, "n", 4);
    await server.publish({}, "n", 5);
  });
  await settled(server, socket);
  assert.deepEqual(got, [1, 2, 3, 4, 5]);
  const { rooms, data, recovered } = await socket.emitWithAck("me");
  assert.deepEqual({ rooms, data, recovered }, {
    rooms: [kept, late].sort(), data: { name: "Ada", visits: 3 }, recovered: true,
  });
});

test("who said something does not hear itself, in a replay either", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  const other = await connect(t, server.url, { auth: { rooms: [room] } });
  const [mine, theirs] = [received(socket, "said"), received(other, "said")];
  await other.emitWithAck("say", room, "hello");
  await filled(mine, 1);
  await socket.emitWithAck("say", room, "hello yourself");
  await filled(theirs, 1);
  await away(proxy, socket, async () => {
    await departed(server, socket.id);
    await other.emitWithAck("say", room, "are you there?");
  });
  await filled(mine, 2);
  await settled(server, socket);
  assert.deepEqual([mine, theirs], [["hello", "are you there?"], ["hello yourself"]]);
});

for (const [who, leave] of [
  ["the client disconnects", (socket) => socket.disconnect()],
  ["the server disconnects the client", (socket) => socket.emit("leave-me")],
]) {
  test(`${who}: the session is over`, async (t) => {
    const room = ownRoom();
    const socket = await connect(t, server.url, { auth: { rooms: [room] } });
    const got = received(socket, "n");
    const { id, _pid: pid } = socket;
    const ended = next(socket, "disconnect");
    leave(socket);
    await ended;
    await departed(server, id);
    await server.publish({ to: [room] }, "n", 1);
    socket.connect();
    await connected(socket);
    await server.publish({ to: [room] }, "n", 2);
    await filled(got, 1);
    assert.ok(!socket.recovered);
    assert.notEqual(socket._pid, pid);
    assert.deepEqual(got, [2]);
  });
}

test("who is away for longer than sessions are kept is a new one, and is told", async (t) => {
  const brief = await application(t, "--away", "200");
  const { socket, proxy } = await behindProxy(t, brief, { auth: { rooms: ["news"] } });
  const [got, lost] = [received(socket, "n"), received(socket, "tenfour:lost")];
  await brief.publish({ to: ["news"] }, "n", 1);
  await filled(got, 1);
  await cutOff(proxy, socket);
  await brief.publish({ to: ["news"] }, "n", 2);
  await sleep(600); // what is under test is that time passes
  await letIn(proxy, socket);
  assert.ok(!socket.recovered);
  if (onReference) return assert.equal(lost.length, 0);
  await filled(lost, 1);
});

test("a page that is loaded anew is recovered if it kept its pid and offset, and else begins with the present", async (t) => {
  const room = ownRoom();
  const page = await connect(t, server.url, { auth: { rooms: [room] } });
  await server.publish({ to: [room] }, "n", 1);
  const offset = await eventually("position", () => page._lastOffset);
  const { id, _pid: pid } = page;
  page.io.reconnection(false);
  page.io.engine.close();
  await departed(server, id);
  await server.publish({ to: [room] }, "n", 2);

  const forgetful = await connect(t, server.url, { auth: { rooms: [room] } });
  const [ofForgetful, ofMindful] = [received(forgetful, "n"), []];
  const mindful = client(t, server.url, { auth: { rooms: [room], pid, offset }, autoConnect: false });
  mindful.on("n", (n) => ofMindful.push(n));
  mindful.connect();
  await connected(mindful);
  await server.publish({ to: [room] }, "n", 3);
  await filled(ofForgetful, 1);
  await filled(ofMindful, 2);
  assert.equal(mindful.id, id);
  assert.deepEqual([ofForgetful, ofMindful], [[3], [2, 3]]);
});

test("a claim that nobody can have is a new session", async (t) => {
  const room = ownRoom();
  for (const claim of [
    { pid: "x".repeat(20), offset: "abc" },
    { pid: "", offset: "" },
    { pid: 7, offset: {} },
    { pid: ["a"], offset: null },
    { pid: "%".repeat(10_000), offset: "%".repeat(10_000) },
  ]) {
    const socket = await connect(t, server.url, { auth: { ...claim, rooms: [room] } });
    const got = received(socket, "n");
    assert.ok(!socket.recovered);
    assert.notEqual(socket._pid, claim.pid);
    await server.publish({ to: [socket.id] }, "n", 1);
    await filled(got, 1);
  }
});

test("a position of no log, or of another one, is the beginning of the session", async (t) => {
  const room = ownRoom();
  const other = await application(t);
  const stranger = await connect(t, other.url, { auth: { rooms: ["r"] } });
  await other.publish({ to: ["r"] }, "n", 1);
  const foreign = await eventually("position", () => stranger._lastOffset);
  for (const offset of ["", "!", "AAAA", "zzzzzzzzzzzzzzzzzzzz", foreign]) {
    await server.publish({ to: [room] }, "n", 0);
    const original = await connect(t, server.url, { auth: { rooms: [room] } });
    const { id, _pid: pid } = original;
    await server.publishMany(room, "n", 1, 2);
    await eventually("position", () => original._lastOffset);
    original.io.reconnection(false);
    original.io.engine.close();
    await departed(server, id);
    const claimant = client(t, server.url, { auth: { pid, offset }, autoConnect: false });
    const got = received(claimant, "n");
    claimant.connect();
    await connected(claimant);
    if (onReference) {
      assert.notEqual(claimant._pid, pid);
      continue;
    }
    await settled(server, claimant);
    assert.deepEqual([claimant.id, got], [id, [1, 2]], `offset ${JSON.stringify(offset)}`);
  }
});

test("a loss whose message was lost with the connection is told again", async (t) => {
  if (onReference) return; // it tells none
  const short = await application(t, "--retention", "10");
  const first = await connect(t, short.url, { auth: { rooms: ["news"] } });
  await short.publish({ to: ["news"] }, "n", 0);
  const old = await eventually("position", () => first._lastOffset);
  first.io.reconnection(false);
  first.io.engine.close();
  await short.publishMany("news", "n", 1, 50);
  /** Connects with this claim, and answers the new pid and what was told. */
  const claim = async (pid) => {
    const socket = client(t, short.url, { auth: { pid, offset: old, rooms: ["news"] }, autoConnect: false });
    const lost = received(socket, "tenfour:lost");
    socket.connect();
    await connected(socket);
    await filled(lost, 1);
    socket.io.reconnection(false);
    socket.io.engine.close();
    return { pid: socket._pid, lost };
  };
  const { pid } = await claim(first._pid);
  assert.notEqual(pid, first._pid);
  const again = await claim(pid); // as the stock client would, which takes over the new pid and keeps its offset
  assert.equal(again.lost.length, 1);
});

test("two namespaces on one connection are recovered each for itself", async (t) => {
  const room = ownRoom();
  const proxy = await startProxy(t, server.url);
  const socket = await connect(t, proxy.url, { auth: { rooms: [room] }, transports: ["websocket"] });
  const keyed = socket.io.socket("/keyed", { auth: { rooms: [room] } });
  await connected(keyed);
  assert.notEqual(socket._pid, keyed._pid);
  if (onReference) return; // which has stored nothing yet for `/keyed`, see hole a
  const got = received(socket, "n");
  const back = next(keyed, "connect");
  await away(proxy, socket, () => server.publish({ to: [room] }, "n", 1));
  await back;
  await filled(got, 1);
  assert.ok(socket.recovered && keyed.recovered);
});

test("a client without recovery of its own is served as ever", async (t) => {
  const socket = client(t, server.url, { auth: { rooms: [ownRoom()] } });
  await connected(socket);
  assert.equal(typeof socket._pid, "string");
  assert.equal(typeof socket.id, "string");
  assert.notEqual(socket._pid, socket.id, "the secret is not the public name");
});

/** Waits until the reference server has seen the socket go; ours need not have. */
async function departed(server, id) {
  if (onReference) await eventually("departure", async () => !(await server.sockets()).includes(id));
}
