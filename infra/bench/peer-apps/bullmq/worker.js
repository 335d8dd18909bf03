// The worker: performs the HTTP request of an envelope, 64 at a time, as many as Chaski has open to one host.
import { Worker } from "bullmq";
import { Agent, request, setGlobalDispatcher } from "undici";

const TIMEOUT_MS = 2000;

setGlobalDispatcher(new Agent({ connections: 64, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS, connect: { timeout: TIMEOUT_MS } }));

const worker = new Worker(
  "messages",
  async ({ data: { message } }) => {
    const { url, method = "POST", body } = message;
    const { statusCode, body: answer } = await request(url, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    await answer.dump();
    if (statusCode < 200 || statusCode > 299) throw new Error(`answered ${statusCode}`);
  },
  { connection: { host: "127.0.0.1", port: Number(process.env.PEER_REDIS_PORT) }, concurrency: 64 },
);
worker.on("error", (error) => console.error(error));
worker.on("ready", () => console.log("ready"));
