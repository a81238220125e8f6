// A test that waits for what never comes says so, instead of hanging.

/** How long a test waits for anything, in milliseconds. */
export const PATIENCE = 20_000;

/** `promise`, or an error that names `what` did not come in time. */
export function within(what, promise, ms = PATIENCE) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms).unref();
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}
