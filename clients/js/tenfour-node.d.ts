import type { Cursor, Limits, Outbox } from "./tenfour.js";

/** In the file `path`; throws `Undelivered` (`storage`) while another process has it. */
export function fileOutbox(path: string, limits?: Limits): Outbox & { close(): Promise<void> };

/** In the file `path`. With `sync`, each step is on the disk before the next event is handled. */
export function fileCursor(path: string, options?: { sync?: boolean }): Cursor;
