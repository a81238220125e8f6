// Values that an argument may have.

/** Every kind of JSON value, and what commonly breaks. Each must come back deeply equal. */
export const JSON_VALUES = {
  null: null,
  booleans: [true, false],
  "small and negative integers": [0, 1, -1, 255, 65_536, -2_147_483_648],
  "large integers": [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53, 2 ** 63, 2 ** 64, 1e21],
  fractions: [0.1, -1.5, 1e-7, Number.MAX_VALUE, Number.MIN_VALUE],
  "empty string, array, object": ["", [], {}],
  "escaped characters": "\u0000\u0001\b\f\n\r\t\"\\/\u001e\u001f\u007f",
  "line separators": "a\u2028b\u2029c",
  "non-Latin text": "Grüße, żółć, Привет, 你好, שלום, ไทย",
  emoji: "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇪🇺",
  "combining and private characters": "e\u0301 \ufeff \ufffd \ue000 \u{10ffff}",
  "text that looks like the protocol": ['42["x"]', "-", ",", "/lab,", "2probe", "b64", '"]', "451-"],
  "keys of every kind": { "": 1, "0": 2, "a b": 3, "ü": 4, '"': 5, "\u2028": 6, constructor: 7, length: 8 },
  "own key __proto__": JSON.parse('{"__proto__":{"polluted":true}}'),
  "nested 100 deep": nested(100),
  "wide array": Array.from({ length: 5_000 }, (_, index) => index),
  "mixed nesting": { list: [1, [2, [3, { four: [{}] }]]], nothing: null, deep: { a: { b: { c: "d" } } } },
  "long text": "0123456789ü".repeat(10_000),
};

/** What a Buffer may hold, and where it may stand; `same` compares these. */
export const BINARY_VALUES = {
  "a buffer": Buffer.from([1, 2, 3]),
  "an empty buffer": Buffer.alloc(0),
  "every byte": Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  "bytes that look like text": Buffer.from('42["x"]\x1e4'),
  "a typed array": new Uint8Array([9, 8, 7]),
  "a view into a larger buffer": new Uint8Array(new Uint8Array([0, 1, 2, 3, 4]).buffer, 1, 3),
  "an ArrayBuffer": new Uint8Array([4, 5, 6]).buffer,
  "binary in an object": { name: "file", content: Buffer.from("content"), size: 7 },
  "binary deep inside": { a: [{ b: [null, { c: Buffer.from("deep") }] }] },
  "two attachments": [Buffer.from("one"), "between", Buffer.from("two")],
  "ten attachments": Array.from({ length: 10 }, (_, index) => Buffer.from([index])),
  "half a megabyte": Buffer.alloc(500_000, "0123456789"),
};

/** `value` with everything binary as `{bytes: "hex"}`: what one side sends as Uint8Array the other gets as Buffer. */
export function comparable(value) {
  if (value instanceof ArrayBuffer) return { bytes: Buffer.from(value).toString("hex") };
  if (ArrayBuffer.isView(value)) {
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  }
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, comparable(inner)]));
}

function nested(depth) {
  let value = "bottom";
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { value };
  return value;
}
