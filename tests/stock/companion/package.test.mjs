// The companion as a package: how large it is, what its types say, whether its examples are true.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import * as browser from "../../../clients/js/tenfour.js";
import * as node from "../../../clients/js/tenfour-node.js";

const PACKAGE = new URL("../../../clients/js/", import.meta.url);
const path = (name) => fileURLToPath(new URL(name, PACKAGE));
const text = (name) => readFileSync(path(name), "utf8");

test("the script is small, and needs no other", () => {
  const size = gzipSync(text("tenfour.js"), { level: 9 }).length;
  assert.ok(size < 8_000, `${size} bytes gzipped`);
  assert.doesNotMatch(text("tenfour.js"), /^import |\bimport\(|\brequire\(/m);
});

test("the package names its files", () => {
  const { files, exports } = JSON.parse(text("package.json"));
  const there = readdirSync(PACKAGE).filter((name) => /\.(js|ts)$/.test(name));
  assert.deepEqual([...files].sort(), there.sort());
  const named = Object.values(exports).flatMap(Object.values);
  assert.deepEqual(named.sort(), files.map((file) => `./${file}`).sort());
});

test("the types declare what the scripts export, and no more", () => {
  for (const [name, module] of [["tenfour", browser], ["tenfour-node", node]]) {
    const program = compile({}, [path(`${name}.d.ts`)]);
    const symbol = program.getTypeChecker().getSymbolAtLocation(program.getSourceFile(path(`${name}.d.ts`)));
    const values = program.getTypeChecker().getExportsOfModule(symbol).filter(({ flags }) => flags & ts.SymbolFlags.Value);
    assert.deepEqual(values.map((value) => value.name).sort(), Object.keys(module).sort());
  }
});

test("the types fit the stock client, and refuse what is wrong", () => {
  const use = `
    import { io, type Socket } from "socket.io-client";
    import { reliable, memoryOutbox, tabCursor, Undelivered, type Lost } from "tenfour";
    import { fileCursor, fileOutbox } from "tenfour/node";
    const chat = reliable(io({ autoConnect: false }), { outbox: memoryOutbox({ entries: 5 }), cursor: tabCursor("x"), window: 4 });
    const socket: Socket = chat.socket;
    chat.on("line", async (line: { text: string }) => {}).off("line");
    chat.addEventListener("lost", ({ detail }) => { const lost: Lost = detail; lost.count.toFixed(); });
    chat.addEventListener("failed", ({ detail }) => { if (detail.error.code === "indeterminate") detail.args.length; });
    const said = chat.emit<{ number: number }>("say", { text: "x", list: [1, null] });
    said.then(({ number }) => number.toFixed());
    said.kept.then(() => said.key.length);
    reliable(socket, { outbox: fileOutbox("a"), cursor: fileCursor("b", { sync: true }) });
    new Undelivered("full", "x").code;
  `;
  assert.deepEqual(problems(use), []);
  for (const [wrong, code] of [
    [`reliable({})`, 2345],
    [`reliable(io(), { late: "never" })`, 2322],
    [`reliable(io()).emit("say", () => {})`, 2345],
    [`reliable(io()).addEventListener("lost", ({ detail }) => detail.amount)`, 2339],
  ]) {
    const source = `import { io } from "socket.io-client"; import { reliable } from "tenfour"; ${wrong};`;
    assert.ok(problems(source).some((problem) => problem.code === code), `${wrong}: ${JSON.stringify(problems(source))}`);
  }
});

/** What the compiler says of `source`. */
function problems(source) {
  const file = fileURLToPath(new URL("use.mts", import.meta.url));
  const program = compile({ [file]: source }, [file]);
  const about = ({ code, messageText }) => ({ code, text: ts.flattenDiagnosticMessageText(messageText, " ") });
  return ts.getPreEmitDiagnostics(program).map(about);
}

function compile(sources, roots) {
  const options = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
    types: [],
    skipLibCheck: true,
    paths: { tenfour: [path("tenfour.d.ts")], "tenfour/node": [path("tenfour-node.d.ts")] },
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => file in sources || fileExists(file);
  host.readFile = (file) => sources[file] ?? readFile(file);
  host.getSourceFile = (file, ...rest) =>
    file in sources ? ts.createSourceFile(file, sources[file], ...rest) : getSourceFile(file, ...rest);
  return ts.createProgram(roots, options, host);
}
