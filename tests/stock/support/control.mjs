// JSON over HTTP, which is how tests and publishers speak with the application.
import { request } from "node:http";

/** An exchange. An answer that is no success rejects with its `status` and what it says. */
export function askJson(agent, url, method, body) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const asked = request(url, { agent, method, headers, timeout: 10_000 }, async (response) => {
      try {
        let text = "";
        for await (const chunk of response) text += chunk;
        if (response.statusCode === 200) return resolve(text ? JSON.parse(text) : {});
        const reason = text.startsWith("{") ? JSON.parse(text).error : text;
        reject(Object.assign(new Error(reason), { status: response.statusCode }));
      } catch (error) {
        reject(error);
      }
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer from ${url} in time`)));
    asked.on("error", reject);
    asked.end(body && JSON.stringify(body));
  });
}
