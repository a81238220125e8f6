// Who gets what: rooms, broadcasts, questions to many.
import assert from "node:assert/strict";
import { test } from "node:test";
import { collect, connect, eventually, filled, next, overEachTransport } from "../support/client.mjs";
import { PATIENT, useServer } from "../support/server.mjs";
import { comparable } from "./values.mjs";

const server = useServer(...PATIENT);
let rooms = 0;

overEachTransport((transports) => {
  const lab = (t) => connect(t, `${server.url}/lab`, { transports });
  const labs = (t, count) => Promise.all(Array.from({ length: count }, () => lab(t)));
  const freshRoom = () => `room ü ${++rooms}`;

  test("a socket is in the room of its id, and in those it joins until it leaves them", async (t) => {
    const socket = await lab(t);
    await socket.emitWithAck("join", "one");
    await socket.emitWithAck("join", "two");
    await socket.emitWithAck("join", "one");
    assert.deepEqual((await socket.emitWithAck("rooms")).toSorted(), [socket.id, "one", "two"].toSorted());
    await socket.emitWithAck("leave", "one");
    await socket.emitWithAck("leave", "never joined");
    assert.deepEqual((await socket.emitWithAck("rooms")).toSorted(), [socket.id, "two"].toSorted());
  });

  test("to: the room without the sender; in: with it", async (t) => {
    const [sender, member, stranger] = await labs(t, 3);
    const room = freshRoom();
    await sender.emitWithAck("join", room);
    await member.emitWithAck("join", room);
    const received = gather({ sender, member, stranger }, "news");

    await sender.emitWithAck("to", room, "news", "to", Buffer.from("b"));
    await sender.emitWithAck("in", room, "news", "in", { text: "ü" });
    assert.deepEqual(await received(), {
      sender: [["in", { text: "ü" }]],
      member: [
        ["to", { bytes: "62" }],
        ["in", { text: "ü" }],
      ],
      stranger: [],
    });
  });

  test("a socket's id is a room: a private message", async (t) => {
    const [sender, receiver, stranger] = await labs(t, 3);
    const received = gather({ sender, receiver, stranger }, "private");
    await sender.emitWithAck("to", receiver.id, "private", 1);
    assert.deepEqual(await received(), { sender: [], receiver: [[1]], stranger: [] });
  });

  test("broadcast and except", async (t) => {
    const [sender, member, stranger] = await labs(t, 3);
    const room = freshRoom();
    await member.emitWithAck("join", room);
    const received = gather({ sender, member, stranger }, "all");
    await sender.emitWithAck("broadcast", "all", "broadcast");
    await sender.emitWithAck("except", room, "all", "except");
    assert.deepEqual(await received(), {
      sender: [["except"]],
      member: [["broadcast"]],
      stranger: [["broadcast"], ["except"]],
    });
  });

  test("who leaves the room, or the server, gets nothing more", async (t) => {
    const [sender, leaver, closed] = await labs(t, 3);
    const room = freshRoom();
    for (const socket of [leaver, closed]) await socket.emitWithAck("join", room);
    await leaver.emitWithAck("leave", room);
    const { id } = closed;
    closed.disconnect();
    await eventually("departure", async () => !(await sender.emitWithAck("sockets")).includes(id));
    const received = gather({ sender, leaver }, "news");
    await sender.emitWithAck("in", room, "news", 1);
    assert.deepEqual(await received(), { sender: [], leaver: [] });
  });

  test("a question to a room: all answers, and how many are missing", async (t) => {
    const [asking, ...members] = await labs(t, 4);
    const room = freshRoom();
    for (const socket of members) await socket.emitWithAck("join", room);
    members[0].on("question", (value, answer) => answer([value, 0]));
    members[1].on("question", (value, answer) => answer([value, Buffer.from("1")]));
    const silent = next(members[2], "question");

    const { answers, missing } = await asking.emitWithAck("ask-all", room, "how many?", 500);
    await silent;
    assert.equal(missing, 1);
    assert.deepEqual(
      new Set(answers.map((answer) => JSON.stringify(comparable(answer)))),
      new Set(['["how many?",0]', '["how many?",{"bytes":"31"}]']),
    );
  });

  test("a question to a room where everybody answers ends at once; to an empty one, too", async (t) => {
    const [asking, ...members] = await labs(t, 3);
    const room = freshRoom();
    for (const socket of members) {
      await socket.emitWithAck("join", room);
      socket.on("question", (value, answer) => answer(value));
    }
    const begin = performance.now();
    assert.deepEqual(await asking.emitWithAck("ask-all", room, 7, 30_000), { answers: [7, 7], missing: 0 });
    assert.deepEqual(await asking.emitWithAck("ask-all", freshRoom(), 7, 30_000), { answers: [], missing: 0 });
    assert.ok(performance.now() - begin < 30_000);
  });

  test("five clients see what each of them broadcasts in its order, and one order per sender", async (t) => {
    const sockets = await labs(t, 5);
    const room = freshRoom();
    for (const socket of sockets) await socket.emitWithAck("join", room);
    const EACH = 100;
    const lists = sockets.map((socket) => collect(socket, "line"));
    sockets.forEach((socket, sender) => {
      for (let i = 0; i < EACH; i++) socket.emit("in", room, "line", sender, i);
    });
    const expected = Array.from({ length: EACH }, (_, index) => index);
    for (const list of lists) {
      await filled(list, EACH * sockets.length);
      assert.equal(list.length, EACH * sockets.length);
      sockets.forEach((_, sender) => {
        assert.deepEqual(list.filter(([from]) => from === sender).map(([, number]) => number), expected);
      });
    }
    for (const list of lists) assert.deepEqual(list, lists[0], "one order for all");
  });
});

/** Collects `event` at each socket; the result answers all of it once every socket has seen what was sent before. */
function gather(sockets, event) {
  const lists = Object.entries(sockets).map(([name, socket]) => [name, socket, collect(socket, event)]);
  return async () => {
    await Promise.all(lists.map(([, socket]) => socket.emitWithAck("echo", "flush")));
    return Object.fromEntries(lists.map(([name, , list]) => [name, list.map((args) => args.map(comparable))]));
  };
}
