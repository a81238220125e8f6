/** The chat: joins the page's elements, the timeline and one connection whose messages survive. */
import { Connection } from "/client.js";
import { indexedDbOutbox, memoryOutbox, reliable } from "/tenfour.js";
import { OwnMessage, Timeline, element } from "/timeline.js";

/** Milliseconds for which the button cuts the connection. */
const CUT = 5_000;
/** Milliseconds for which an answer is waited for. */
const PATIENCE = 5_000;
const STATUS = { connecting: "Connecting…", connected: "Connected", offline: "Offline", closed: "Closed" };
const REASONS = {
  retention: "they are older than what the server keeps",
  ttl: "they were not worth keeping for so long",
  slow_consumer: "this page was too slow for them",
  epoch_reset: "the server has begun anew",
  unknown: "this page was away for longer than the server waits for it",
};

const $ = (id) => document.getElementById(id);
const timeline = new Timeline({ list: $("messages"), scroller: $("log"), latest: $("latest") });

/** All tabs of this browser are one person, who has a secret, and a name that is shown. */
const me = (localStorage.me ??= crypto.getRandomValues(new Uint32Array(4)).join("-"));
const guest = (localStorage.guest ??= `Guest ${100 + Math.floor(Math.random() * 900)}`);
/** The name that the server was asked for, and the one it gave: names are unique, so they may differ. */
let asked = "";
let you = "";
let people = [];
/** Whether what was said before this page was asked for. */
let complete = false;
/** Messages of this browser's that are shown and have no number yet, by their keys. */
const own = new Map();
let countdown;

$("name").value = localStorage.name ?? guest;
$("name").placeholder = guest;

const connection = new Connection({ auth: (send) => send({ me, name: (asked = wantedName()) }) });
const chat = reliable(connection, { name: "chat", outbox: outbox(), timeout: PATIENCE })
  .on("welcome", welcome)
  .on("people", (names) => Array.isArray(names) && showPeople((people = names)))
  .on("line", hear);
chat.addEventListener("settled", ({ detail }) => acknowledged(detail));
chat.addEventListener("failed", ({ detail }) => failed(detail));
chat.addEventListener("lost", ({ detail }) => tellGap(detail));
connection.addEventListener("state", stateChanged);
connection.on("connect", () => chat.recovered && timeline.last > 0 && timeline.notice("back", "Connected again. Nothing is missing."));
start();

async function start() {
  for (const { key, args, at } of await chat.pending().catch(() => [])) showOwn({ key, text: args[0], at });
  connection.connect();
}

/** Without a database (a browser may forbid it) a reload loses what is not sent. */
function outbox() {
  return globalThis.indexedDB ? indexedDbOutbox("chat") : memoryOutbox();
}

/** What was said while this page was not there, or not connected, comes by itself; what was said before it, on demand. */
async function welcome({ you: name }) {
  you = name;
  if (asked !== wantedName()) rename();
  if (!complete) await fetchHistory(0);
}

/** The lines after this number, as many as the server has at hand. */
async function fetchHistory(after) {
  const lines = await request("history", after).catch(() => undefined);
  complete ||= Array.isArray(lines);
  if (Array.isArray(lines)) lines.forEach(hear);
}

function hear(line) {
  // Whoever may publish to the room's channel may say anything there.
  if (!Number.isSafeInteger(line?.number) || timeline.has(line.number)) return;
  const message = own.get(line.id);
  own.delete(line.id);
  const item = timeline.line(line, message);
  message?.mark("acknowledged", line.number);
  if (line.from === you) item.classList.add("own");
}

/** At its place among the lines; then whatever of them the server still has. */
async function tellGap({ count, exact, reason }) {
  const before = timeline.last;
  const why = REASONS[reason] ?? reason;
  const many = count === 1 ? "A message" : `${exact ? "" : "At least "}${count} messages`;
  const told = count > 0 ? `${many} passed while you were away` : "Nobody knows what passed while you were away";
  const text = timeline.notice("gap", `${told}: ${why}.`, "?");
  const anew = reason === "epoch_reset";
  if (anew) timeline.renumber();
  if (!complete) return; // The history is on its way.
  await fetchHistory(anew ? 0 : before);
  if (!anew && timeline.last > before) text.append(" What the server still has of them follows.");
}

function showOwn({ key, text, at }) {
  const message = new OwnMessage({ key, text, at, from: you || wantedName() });
  own.set(key, message);
  message.mark(connection.connected ? "sending" : "waiting");
  timeline.own(message);
  return message;
}

function say(text) {
  const emission = chat.emit("say", text);
  showOwn({ key: emission.key, text, at: Date.now() });
}

/** The line itself may still be on its way here, or come with the history. */
function acknowledged({ key, answer }) {
  own.get(key)?.mark("acknowledged", answer?.number);
}

/** What another tab wrote is told here too, for that tab may be gone; but it is offered again where it was written. */
function failed({ key, args: [text] = [], error }) {
  const written = own.get(key);
  const message = written ?? showOwn({ key, text: text ?? "A message of another tab", at: Date.now() });
  own.delete(key);
  message.mark(error.code === "indeterminate" ? "doubtful" : "refused", error.message);
  if (written) message.offer("Send again", () => say(text));
}

async function rename() {
  localStorage.name = wantedName();
  if (!connection.connected) return; // The next connection asks for it.
  asked = wantedName();
  let problem = "";
  try {
    const { you: name = you, error = "" } = await request("rename", asked);
    you = name;
    problem = error;
  } catch (error) {
    problem = `not changed: ${error.message}`;
  }
  $("name-problem").textContent = problem;
  showPeople(people);
}

/** For what may be asked again: it is sent once, and rejected if no answer comes. */
function request(event, ...args) {
  return new Promise((resolve, reject) => {
    connection.timeout(PATIENCE).emit(event, ...args, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

function wantedName() {
  return $("name").value.trim() || guest;
}

function showPeople(names) {
  $("count").textContent = names.length;
  const items = names.map((name) => {
    const item = element("li", "person", name);
    if (name === you) item.append(element("span", "hint", " (you)"));
    return item;
  });
  $("people").replaceChildren(...items);
}

function stateChanged() {
  const { state, reason } = connection;
  const before = $("status").dataset.state;
  if (before === "connected" && state !== "connected") {
    timeline.notice("cut", `Offline: ${reason}. What you write is kept.`);
    $("count").textContent = "";
    $("people").replaceChildren(element("li", "hint", "Unknown while offline"));
  }
  const mark = state === "connected" ? "sending" : "waiting";
  for (const message of own.values()) if (message.pending) message.mark(mark);
  $("status").dataset.state = state;
  $("status").title = state === "connected" ? "" : reason;
  $("status-word").textContent = STATUS[state];
  $("cut").setAttribute("aria-disabled", state !== "connected");
  $("name-problem").textContent = "";
  showCountdown();
}

function showCountdown() {
  clearTimeout(countdown);
  const { state, retryAt } = connection;
  const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
  $("countdown").textContent = state === "offline" ? `, next try in ${seconds} s` : "";
  if (state === "offline") countdown = setTimeout(showCountdown, 200);
}

$("name").addEventListener("change", rename);
$("name").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // Or the key would go on into the message.
  $("message").focus();
});
addEventListener("storage", ({ key, newValue }) => key === "name" && newValue && ($("name").value = you = newValue));
$("cut").addEventListener("click", () => connection.connected && connection.cut(CUT));
$("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("message").value.trim();
  if (text === "") return;
  $("message").value = "";
  say(text);
});
