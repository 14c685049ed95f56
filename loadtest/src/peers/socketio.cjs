// A Socket.IO server that the load tester compares with: whoever follows a topic joins its room, and what is published is
// told in the room on all processes. Arguments: the folder node_modules, host, port, and the URL of Redis.
const { createRequire } = require("node:module");
const { createServer } = require("node:http");

const [packages, host, port, url] = process.argv.slice(2);
const from = createRequire(`${packages}/`);
const { Server } = from("socket.io");
const { createAdapter } = from("@socket.io/redis-adapter");
const { createClient } = from("redis");

async function main() {
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const http = createServer((request, response) => response.writeHead(404).end());
  const io = new Server(http, {
    adapter: createAdapter(publisher, subscriber),
    transports: ["websocket"],
    perMessageDeflate: false,
    httpCompression: false,
    serveClient: false,
  });
  // As its documentation advises: the first request is not kept.
  io.engine.on("connection", (socket) => {
    socket.request = null;
  });
  io.on("connection", (socket) => {
    socket.on("follow", async (topic, done) => {
      await socket.join(topic);
      done();
    });
    socket.on("publish", (topic, message) => {
      io.to(topic).emit("message", message);
    });
  });
  process.on("SIGTERM", () => process.exit(0));
  http.listen(Number(port), host, 4096);
}

main();
