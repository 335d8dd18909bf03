// The ingress: takes an envelope over HTTP and answers once Redis has it on the disk.
import fastify from "fastify";
import { Queue } from "bullmq";

const connection = { host: "127.0.0.1", port: Number(process.env.PEER_REDIS_PORT) };
const queue = new Queue("messages", {
  connection,
  defaultJobOptions: {
    // A link gets one retry, a second later.
    attempts: 2,
    backoff: { type: "fixed", delay: 1000 },
    // What was done is forgotten, as in any installation that is to run for long; what failed is kept.
    removeOnComplete: true,
  },
});

const app = fastify();
const schema = {
  body: {
    type: "object",
    required: ["subject", "message"],
    properties: {
      subject: { type: "string" },
      message: { type: "object", required: ["url"], properties: { url: { type: "string" } } },
    },
  },
};
app.post("/messages", { schema }, async (request) => {
  const job = await queue.add("deliver", request.body);
  return { id: job.id, subject: request.body.subject };
});
app.get("/failed", async (_request, reply) => reply.type("application/json").send(String(await queue.getFailedCount())));
await app.listen({ host: "127.0.0.1", port: Number(process.env.PEER_PORT) });
