// The stock client's bundle on a page in Chromium, from another origin than the server's.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useBrowser, usePages } from "../support/browser.mjs";
import { overEachTransport } from "../support/client.mjs";
import { PATIENT, useServer } from "../support/server.mjs";

const browser = useBrowser();
const pages = usePages();

for (const [parser, path] of [["json", "/"], ["msgpack", "/msgpack"]]) {
  describe(`the ${parser} bundle`, () => {
    const server = useServer(...PATIENT, "--parser", parser);

    overEachTransport((transports) => {
      /** A page where `join(namespace, options)` answers a client that is connected. */
      const open = async (t) => {
        const page = await browser.page(t);
        await page.goto(pages.url + path);
        await page.evaluate(
          ({ url, transports }) => {
            window.next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
            window.join = async (namespace, options) => {
              const socket = window.io(url + namespace, { transports, forceNew: true, reconnectionDelay: 20, ...options });
              const refused = window.next(socket, "connect_error").then(([error]) => Promise.reject(error));
              await Promise.race([window.next(socket, "connect"), refused]);
              return socket;
            };
          },
          { url: server.url, transports },
        );
        t.after(() => assert.deepEqual(page.problems, []));
        return page;
      };

      test("connects by the transport asked for", async (t) => {
        const page = await open(t);
        const used = await page.evaluate(async (upgrades) => {
          const { engine } = (await window.join("/lab")).io;
          if (upgrades && engine.transport.name === "polling") await window.next(engine, "upgrade");
          return engine.transport.name;
        }, transports.length > 1);
        assert.equal(used, transports.at(-1));
      });

      test("auth, and refusal with data", async (t) => {
        const page = await open(t);
        const [auth, refusal] = await page.evaluate(async () => {
          const lab = await window.join("/lab", { auth: { token: "ü😀" } });
          const error = await window.join("/guarded").catch((error) => error);
          return [(await lab.emitWithAck("handshake")).auth, { message: error.message, data: error.data }];
        });
        assert.deepEqual(auth, { token: "ü😀" });
        assert.deepEqual(refusal, { message: "not authorised", data: { code: "E_TOKEN" } });
      });

      test("JSON and binary, in events and acknowledgements, both ways", async (t) => {
        const page = await open(t);
        const value = { text: "ü😀\u2028\"", list: [null, true, -1.5, {}, []] };
        // In a browser, the MessagePack parser knows ArrayBuffer alone.
        const seen = await page.evaluate(async ([value, buffersOnly]) => {
          const bytes = (binary) => [...new Uint8Array(binary)];
          const array = (...bytes) => (buffersOnly ? new Uint8Array(bytes).buffer : new Uint8Array(bytes));
          const text = (text) => (buffersOnly ? new TextEncoder().encode(text).buffer : new Blob([text]));
          const main = await window.join("/");
          const lab = await window.join("/lab");
          const back = window.next(main, "message-back");
          main.emit("message", value, array(1, 2), { deep: [new Uint8Array([3]).buffer] });
          const [json, one, { deep }] = await back;
          lab.on("question", (question, answer) => answer({ question, blob: array(4, 5) }));
          const answer = await lab.emitWithAck("ask", value);
          const blob = await lab.emitWithAck("echo", text("blob"));
          return {
            event: [json, bytes(one), bytes(deep[0])],
            answer: [answer.question, bytes(answer.blob)],
            blob: new TextDecoder().decode(blob),
          };
        }, [value, parser === "msgpack"]);
        assert.deepEqual(seen.event, [value, [1, 2], [3]]);
        assert.deepEqual(seen.answer, [value, [4, 5]]);
        assert.equal(seen.blob, "blob");
      });

      test("rooms reach the other page", async (t) => {
        const [one, other] = [await open(t), await open(t)];
        const heard = other.evaluate(async () => {
          window.lab = await window.join("/lab");
          await window.lab.emitWithAck("join", "browsers");
          document.title = "joined";
          return (await window.next(window.lab, "news"))[0];
        });
        await other.waitForFunction(() => document.title === "joined");
        await one.evaluate(async () => {
          await (await window.join("/lab")).emitWithAck("to", "browsers", "news", "from one");
        });
        assert.equal(await heard, "from one");
      });

      test("comes back when its connection is lost, and 1,000 events arrive in order", async (t) => {
        const page = await open(t);
        const seen = await page.evaluate(async () => {
          const socket = await window.join("/lab");
          const { id } = socket;
          const back = window.next(socket, "connect");
          socket.io.engine.close();
          await back;
          for (let i = 0; i < 1_000; i++) socket.emit("order", i);
          return { sameId: socket.id === id, order: await socket.emitWithAck("order", 1_000) };
        });
        assert.deepEqual(seen, { sameId: false, order: { next: 1_001, inversions: 0, count: 1_001 } });
      });

      // A page can give a WebSocket no headers.
      if (!transports.includes("polling")) return;
      test("headers of its own pass the preflight", async (t) => {
        const page = await open(t);
        const headers = await page.evaluate(async () => {
          const socket = await window.join("/lab", { extraHeaders: { "X-Lab": "yes" } });
          return (await socket.emitWithAck("handshake")).headers;
        });
        assert.equal(headers["x-lab"], "yes");
      });
    });
  });
}
