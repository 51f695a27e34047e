// Uploads one file by tus over loopback, server and client in processes of their own, and prints the
// seconds that it took. The file store does not sync: what it says is received may be lost at a power
// failure, so that this baseline does less than Branchline.
import { fork } from "node:child_process";
import { createReadStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [role, argument] = process.argv.slice(2);

async function serve(directory) {
  const { Server } = await import("@tus/server");
  const { FileStore } = await import("@tus/file-store");
  const server = new Server({ path: "/files", datastore: new FileStore({ directory }) });
  const listening = server.listen({ host: "127.0.0.1", port: 0 });
  listening.on("listening", () => process.send(listening.address().port));
}

async function upload(file, port) {
  const { Upload } = await import("tus-js-client");
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint();
    new Upload(createReadStream(file), {
      endpoint: `http://127.0.0.1:${port}/files`,
      chunkSize: 8 * 1024 * 1024,
      uploadSize: statSync(file).size,
      onError: reject,
      onSuccess: () => resolve(Number(process.hrtime.bigint() - started) / 1e9),
    }).start();
  });
}

if (role === "serve") {
  await serve(argument);
} else {
  const directory = mkdtempSync(join(argument ?? tmpdir(), "tus-"));
  const server = fork(process.argv[1], ["serve", directory]);
  const port = await new Promise((resolve) => server.once("message", resolve));
  try {
    console.log(await upload(role, port));
  } finally {
    server.kill();
    rmSync(directory, { recursive: true });
  }
}
