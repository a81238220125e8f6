// A server whose folder is a small file system of its own, in memory, which one can fill up and free.
import { writeFile, unlink } from "node:fs/promises";
import { join } from "node:path";

/** The command line that runs `command` with `folder` as a file system of so many bytes, that only it sees. */
export const onSmallDisk = (command, folder, bytes) => {
  const mount = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"';
  return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", String(bytes), folder, ...command];
};

/** Something that takes up the space, in the folder as the process `pid` sees it. */
export class Ballast {
  #path;

  constructor(pid, folder) {
    this.#path = join(`/proc/${pid}/root`, folder, "ballast");
  }

  /** Takes all the space that there is. */
  async fill() {
    const chunk = Buffer.alloc(1 << 16);
    const append = () => writeFile(this.#path, chunk, { flag: "a" });
    while (await append().then(() => true, (error) => this.#full(error))) {}
  }

  #full(error) {
    if (error.code !== "ENOSPC") throw error;
    return false;
  }

  free() {
    return unlink(this.#path);
  }
}
