/** The chat: joins the page's elements, the timeline and one connection. */
import { Connection, NotSent } from "/client.js";
import { OwnMessage, Timeline, element } from "/timeline.js";

/** Milliseconds for which the button cuts the connection. */
const CUT = 5_000;
const STATUS = { connecting: "Connecting…", connected: "Connected", offline: "Offline", closed: "Closed" };

const $ = (id) => document.getElementById(id);
const timeline = new Timeline({ list: $("messages"), scroller: $("log"), latest: $("latest") });

/** A name for who gives none. */
const guest = `Guest ${100 + Math.floor(Math.random() * 900)}`;
/** The name that the server was asked for, and the one it gave: names are unique, so they may differ. */
let asked = "";
let you = "";
let people = [];
/** Where the server's count stands for us: nothing up to here is still to come. */
let seen;
/** Own messages of this connection that have no number yet, in the order they were sent. */
let unnumbered = [];
let countdown;
/** Whether, since the last gap, an own message went of which this page cannot know whether it arrived. */
let doubt = false;

$("name").value = sessionStorage.getItem("name") ?? guest;
$("name").placeholder = guest;

const connection = new Connection({ auth: () => ({ name: (asked = wantedName()) }) })
  .on("welcome", welcome)
  .on("people", (names) => Array.isArray(names) && showPeople((people = names)))
  .on("line", hear);
connection.addEventListener("state", stateChanged);
stateChanged();

/** The server's count tells what passed: it goes on while we are away. */
function welcome({ number, epoch, you: name }) {
  you = name;
  const returning = seen !== undefined;
  if (returning && seen.epoch !== epoch) {
    timeline.notice("gap", "The server has restarted and counts anew: how much passed while you were away is unknown.", "?");
    doubt = false;
  } else if (returning) {
    const missed = tellGap(number, "while you were away");
    if (missed === 0) timeline.notice("back", "Connected again. Nothing was said while you were away.");
  }
  seen = { epoch, number };
  if (asked !== wantedName()) rename();
}

function hear(line) {
  // Whoever may publish to the room's channel may say anything there.
  if (!Number.isSafeInteger(line?.number)) return;
  tellGap(line.number - 1, "although you were connected");
  seen.number = line.number;
  timeline.line(line, line.from === you ? takeUnnumbered(line.text) : undefined);
}

/** Says which numbers up to `number` never came here, if any, and returns how many. */
function tellGap(number, when) {
  const missed = number - seen.number;
  if (missed <= 0) return 0;
  const [numbers, passed, gone, yours] =
    missed === 1
      ? [number, "1 message", "it is gone", "It may be your unacknowledged one."]
      : [`${seen.number + 1}–${number}`, `${missed} messages`, "they are gone", "Your unacknowledged one may be among them."];
  const text = `${passed} passed ${when}. At most once means that ${gone}.`;
  timeline.notice("gap", doubt ? `${text} ${yours}` : text, numbers);
  doubt = false;
  return missed;
}

/** The server keeps the order of what we send, so of equal texts the first is meant. */
function takeUnnumbered(text) {
  const index = unnumbered.findIndex((message) => message.text === text);
  return index < 0 ? undefined : unnumbered.splice(index, 1)[0];
}

async function say(text) {
  const message = new OwnMessage(text, you || wantedName());
  timeline.own(message);
  unnumbered.push(message);
  try {
    const [{ number, error }] = await connection.request("say", [text]);
    if (error === undefined) return message.mark("acknowledged", number);
    message.mark("refused", error);
  } catch (error) {
    if (error instanceof NotSent) {
      message.mark("unsent", error.message);
      message.offer("Send again", () => say(text));
    } else {
      message.mark("unacknowledged", error.message);
      doubt ||= message.number === undefined;
    }
  }
  unnumbered = unnumbered.filter((other) => other !== message);
}

async function rename() {
  sessionStorage.setItem("name", wantedName());
  if (connection.state !== "connected") return; // The next connection asks for it.
  asked = wantedName();
  let problem = "";
  try {
    const [{ you: name = you, error = "" }] = await connection.request("rename", [asked]);
    you = name;
    problem = error;
  } catch (error) {
    problem = `not changed: ${error.message}`;
  }
  $("name-problem").textContent = problem;
  showPeople(people);
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
    timeline.notice("cut", `Offline: ${reason}.`);
    $("count").textContent = "";
    $("people").replaceChildren(element("li", "hint", "Unknown while offline"));
  }
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
$("name").addEventListener("keydown", (event) => event.key === "Enter" && $("message").focus());
$("cut").addEventListener("click", () => connection.state === "connected" && connection.cut(CUT));
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
