/** Messages that survive: a companion for a Socket.IO client. */

/** What can be sent: what JSON can say. It is kept as it was when `emit` was called. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * What is wrapped: a socket of socket.io-client 4, or anything with what is used of one. Without `io`, `welcome` is what the server
 * answered to CONNECT, and `cut` has to end the connection as a lost network does, so that the socket comes back.
 */
export interface SocketLike {
  readonly connected: boolean;
  readonly active?: boolean;
  /** Set by `reliable` to a function that adds `pid` and `offset` to what was there. */
  auth: object | ((answer: (data: object) => void) => void);
  io?: unknown;
  welcome?: { pid?: string; tenfour?: { dedup_ms?: number } };
  on(event: "connect" | "disconnect", listener: () => void): unknown;
  off(event: "connect" | "disconnect", listener: () => void): unknown;
  onAny(listener: (event: string, ...args: any[]) => void): unknown;
  offAny(listener: (event: string, ...args: any[]) => void): unknown;
  /** The last argument of `emit` is called with an error, or with `null` and the acknowledgement. */
  timeout(milliseconds: number): { emit(event: string, ...args: any[]): unknown };
  connect(): unknown;
  disconnect(): unknown;
  cut?(): void;
}

/** A position in a session: what a CONNECT shows to go on from there. The `pid` is a secret. */
export interface Claim {
  pid: string;
  /** Absent: the session's beginning. */
  offset?: string;
}

/** Keeps the cursor. What `save` has done when it returns (or its promise resolves) is there when `load` is called next. */
export interface Cursor {
  load(): Promise<Claim | undefined>;
  save(claim: Claim | undefined): void | Promise<void>;
  close?(): void;
}

/** An event on its way. */
export interface Entry {
  /** Its place in the order, given by `add`. */
  id?: number;
  /** 128 random bits in 22 characters: by it the server knows a repetition. */
  key: string;
  event: string;
  args: Json[];
  /** Of name, key and arguments, as JSON. */
  bytes: number;
  /** When it was emitted, in milliseconds since 1970. */
  at: number;
  /** When it was sent first. */
  sent?: number;
}

/** Keeps what is not acknowledged, in the order of the calls of `add`. */
export interface Outbox {
  /** The name by which tabs share it; absent if nobody else has it. */
  readonly shared?: string;
  /** Resolves once the entry will be there after a restart; rejects with `Undelivered` (`full`, `large`). */
  add(entry: Entry): Promise<void>;
  /** Replaces the entry of this id, if it is still there; answers whether it was. */
  update(entry: Entry): Promise<boolean>;
  /** Answers whether it was there. */
  remove(id: number): Promise<boolean>;
  /** The first entries in order. */
  first(count: number): Promise<Entry[]>;
  close?(): Promise<void>;
}

/** Bounds of an outbox; what is beyond is refused, and nothing is dropped for it. */
export interface Limits {
  /** 1,000 */
  entries?: number;
  /** Of all entries: 1,000,000 */
  bytes?: number;
  /** Of one entry: 100,000. Not above what the server takes, which ends the connection for more. */
  message?: number;
}

export interface Options {
  /** Names the outbox and the cursor that are the default. Default: the server's address and the namespace. */
  name?: string;
  /** Default: `indexedDbOutbox(name)`, and where there is no IndexedDB, `memoryOutbox()`. */
  outbox?: Outbox;
  /** Default: `tabCursor(name)`, and where there is no session storage, `memoryCursor()`. */
  cursor?: Cursor;
  /**
   * Events that may wait for their answer at a time. Default: 1. The order is kept whatever it is, but for one case: behind
   * an event that the server puts off (`retry`), those of the window that were sent already come before it.
   */
  window?: number;
  /** Milliseconds after which an event without an answer is sent again. Default: 10,000. */
  timeout?: number;
  /** Milliseconds for which the server knows a repetition, unless it says so itself. Default: 120,000. */
  dedup?: number;
  /**
   * What becomes of an event that was sent, and has no answer when `dedup` has passed: sent again, it might take effect
   * twice. `reject` (the default) gives it up as `indeterminate`, `retry` sends it nevertheless.
   */
  late?: "reject" | "retry";
  /** Events that may wait for a handler; beyond, the connection is cut, and what was not taken comes again. Default: 1,000. */
  backlog?: number;
  /**
   * What an acknowledgement says: `{}` (done), `{ error }` (refused for good) or `{ retry }` (again in so many
   * milliseconds). By default an object with a string `error` is a refusal, unless it has a number `retry_after`.
   */
  verdict?(answer: any[]): { error?: string; retry?: number };
}

/**
 * - `full`, `large`: not taken; nothing was sent.
 * - `storage`: not taken, for it cannot be kept; nothing was sent.
 * - `refused`: the server refused it for good; it took no effect.
 * - `indeterminate`: it may or may not have taken effect. To emit it again may double it.
 * - `closed`: `close` was called; it stays in the outbox.
 */
export type Code = "full" | "large" | "storage" | "refused" | "indeterminate" | "closed";

export class Undelivered extends Error {
  constructor(code: Code, message: string, options?: { cause?: unknown });
  readonly code: Code;
}

/** Resolves to the acknowledgement's first argument; rejects with `Undelivered`. */
export type Emission<T = any> = Promise<T> & {
  readonly key: string;
  /** Resolves once the event would survive a reload; from then on it is the outbox's. */
  readonly kept: Promise<void>;
};

/** What cannot be had any more, told at its place among the events. */
export interface Lost {
  /** The last position before it. */
  after: number;
  /** The last position of it. */
  through: number;
  /** How many messages; at least so many if not `exact`. */
  count: number;
  exact: boolean;
  /** `retention`, `ttl`, `slow_consumer`, `rate_limit`, `conflated`, `epoch_reset`, `unsubscribed` or `unknown`. */
  reason: string;
}

/** An emitted event, and what became of it. */
export interface Outcome {
  key: string;
  event: string;
  args: Json[];
}

/** A handler threw, or its promise was rejected (then `event` is there), or something cannot be kept or read. */
export interface Failure {
  error: unknown;
  event?: string;
  args?: any[];
  /** 1 for the first. It is handed out again after a pause of 100 ms, doubled up to 30 s. */
  attempt?: number;
  /** Passes the event over, and goes on with the next one. */
  skip?(): void;
}

export interface ReliableEventMap {
  lost: CustomEvent<Lost>;
  /** Acknowledged: of this tab, of others with the same outbox, and what earlier pages emitted. */
  settled: CustomEvent<Outcome & { answer: any }>;
  /** Given up, with the reason. */
  failed: CustomEvent<Outcome & { error: Undelivered }>;
  /** Written to the console, unless `preventDefault` is called. */
  error: CustomEvent<Failure>;
}

export interface Reliable<S = SocketLike> extends EventTarget {
  readonly socket: S;
  /** Whether the session went on with nothing missed when it connected last, over a reload too. */
  readonly recovered: boolean;
  /**
   * Calls `handler` with the arguments of each such event of the server's. Events are handled one after the other; one whose
   * handler fails is handed out again, to that handler, and the later ones wait: see `Failure`. Register handlers in
   * the turn in which the socket is wrapped: what has no handler when its turn comes counts as handled.
   */
  on(event: string, handler: (...args: any[]) => void | Promise<void>): this;
  /** Without `handler`: all of the event. */
  off(event: string, handler?: (...args: any[]) => void | Promise<void>): this;
  /** Keeps the event, and sends `[event, key, ...args]` until it is acknowledged. */
  emit<T = any>(event: string, ...args: Json[]): Emission<T>;
  /** What is not acknowledged, in order: of earlier pages and of other tabs too. */
  pending(): Promise<Pick<Entry, "key" | "event" | "args" | "at">[]>;
  /** Lets go of the socket, whose connection stays as it is. */
  close(): void;
  /** For a user who leaves: ends the session, and forgets it and what is in the outbox. */
  forget(): Promise<void>;
  addEventListener<K extends keyof ReliableEventMap>(
    type: K,
    listener: (event: ReliableEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof ReliableEventMap>(type: K, listener: (event: ReliableEventMap[K]) => void): void;
}

/** Wraps `socket`, which must not have begun to connect: create it with `autoConnect: false`, and connect it then. */
export function reliable<S extends SocketLike>(socket: S, options?: Options): Reliable<S>;

export function memoryOutbox(limits?: Limits): Outbox;
/** `storage` is where an entry is until the database has it; default: the tab's session storage. */
export function indexedDbOutbox(name: string, limits?: Limits, storage?: Pick<Storage, "getItem" | "setItem">): Outbox;
export function memoryCursor(): Cursor;
export function tabCursor(name: string, storage?: Pick<Storage, "getItem" | "setItem">): Cursor;
/** For an outbox of your own: the totals with `entry`, or `Undelivered`. */
export function roomFor(
  entry: Entry,
  total: { entries: number; bytes: number },
  limits?: Limits,
): { entries: number; bytes: number };
