import { once } from "node:events";
import { chmod, link, lstat, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { type Socket, createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { listenOnSockets } from "../../src/api/listen.ts";
import { SILENT_LOG } from "../../src/log.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { Connection, engineRequest, listeningServer, serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID } from "./samples.ts";

const ids = { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID };
const LEAVE = engineRequest("NetworkDriver.Leave", ids);
const ACTIVATE = engineRequest("Plugin.Activate");

async function newFolder() {
  const path = await mkdtemp(join(tmpdir(), "tsnet-listen-"));
  return { path, [Symbol.asyncDispose]: async () => rm(path, { recursive: true }) };
}

/** A socket file that a dead process left behind. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createNetServer().listen(`${path}.live`);
  await once(server, "listening");
  await link(`${path}.live`, path);
  server.close();
  await once(server, "close");
}

async function listen(...paths: string[]) {
  return listenOnSockets(serverOn(fakeDrivers()).app, paths, SILENT_LOG);
}

describe("opening a socket", () => {
  it("makes a file that only its owner can use, in a folder that only its owner can enter", async () => {
    await using folder = await newFolder();
    const path = join(folder.path, "a/b/tsnet.sock");
    const mask = process.umask(0);

    const listening = await listen(path);

    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder.path, "a"))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(folder.path, "a/b"))).toEqual(["tsnet.sock"]);
    expect(process.umask(mask)).toBe(0);
    await listening.close();
  });

  it("leaves the mode of a folder that is there", async () => {
    await using folder = await newFolder();
    await chmod(folder.path, 0o755);

    const listening = await listen(join(folder.path, "tsnet.sock"));

    expect((await stat(folder.path)).mode & 0o777).toBe(0o755);
    await listening.close();
  });

  it("replaces the file that a dead tsnet left [F139]", async () => {
    await using folder = await newFolder();
    const path = join(folder.path, "tsnet.sock");
    await leaveDeadSocket(path);

    const listening = await listen(path);

    using connection = new Connection(path);
    expect(await connection.ask(ACTIVATE)).toMatchObject({ status: 200 });
    await listening.close();
  });

  it("is refused while another tsnet answers there, which goes on answering [F139]", async () => {
    await using first = await listeningServer(fakeDrivers());

    await expect(listen(first.path)).rejects.toMatchObject({
      code: "conflict",
      message: `another tsnet answers on ${first.path}`,
    });

    using connection = new Connection(first.path);
    expect(await connection.ask(ACTIVATE)).toMatchObject({ status: 200 });
  });

  it("is refused when the path is a file, a folder or a symbolic link, which stays", async () => {
    await using folder = await newFolder();
    const paths = ["file", "folder", "link"].map((name) => join(folder.path, name));
    const [file = "", subfolder = "", symbolic = ""] = paths;
    await writeFile(file, "mine");
    await mkdir(subfolder);
    await symlink(file, symbolic);

    for (const path of paths) {
      await expect(listen(path)).rejects.toMatchObject({
        code: "conflict",
        message: `cannot listen on ${path}: it exists and is not a socket`,
      });
    }

    expect((await readdir(folder.path)).toSorted()).toEqual(["file", "folder", "link"]);
  });

  it("is refused when the path is too long for a socket", async () => {
    await expect(listen(`/tmp/${"x".repeat(103)}`)).rejects.toMatchObject({ code: "invalid" });
  });

  it("is refused with code host when the folder cannot be made", async () => {
    await using folder = await newFolder();
    await writeFile(join(folder.path, "file"), "");

    await expect(listen(join(folder.path, "file", "tsnet.sock"))).rejects.toMatchObject({ code: "host" });
  });

  it("on several paths is all or none", async () => {
    await using folder = await newFolder();
    const [good, bad] = [join(folder.path, "good.sock"), join(folder.path, "bad.sock")];
    await writeFile(bad, "");

    await expect(listen(good, bad)).rejects.toMatchObject({ code: "conflict" });

    expect(await readdir(folder.path)).toEqual(["bad.sock"]);
  });
});

describe("several sockets", () => {
  it("answer alike", async () => {
    const drivers = fakeDrivers();
    await using server = await listeningServer(drivers);
    using first = new Connection(server.path);
    using second = new Connection(server.secondPath);

    expect((await first.ask(LEAVE)).body).toEqual({});
    expect((await second.ask(LEAVE)).body).toEqual({});

    expect(drivers.seen).toHaveLength(2);
  });
});

describe("closing", () => {
  it("removes the socket files [F139]", async () => {
    await using server = await listeningServer(fakeDrivers());

    await server.listening.close();

    await expect(lstat(server.path)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(lstat(server.secondPath)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("leaves the file of a successor alone, which goes on answering", async () => {
    await using first = await listeningServer(fakeDrivers());
    await rm(first.path);
    const successor = await listen(first.path);

    await first.listening.close();

    using connection = new Connection(first.path);
    expect(await connection.ask(ACTIVATE)).toMatchObject({ status: 200 });
    await successor.close();
  });

  it("lets calls in flight end, answers them, and closes what is idle", async () => {
    const started = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const leave = async () => {
      started.resolve();
      await goOn.promise;
    };
    await using server = await listeningServer(fakeDrivers({ leave }));
    using busy = new Connection(server.path);
    using idle = new Connection(server.secondPath);
    using unused = new Connection(server.path);
    await once(unused.socket, "connect");
    await idle.ask(ACTIVATE);
    busy.socket.write(LEAVE);
    await started.promise;

    const closing = server.listening.close();
    await Promise.all([idle.closed(), unused.closed()]);
    goOn.resolve();

    const answer = await busy.answer();
    expect(answer.body).toEqual({});
    expect(answer.headers.get("connection")).toBe("close");
    await closing;
    await expect(lstat(server.path)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("answers calls that come meanwhile on connections in use: the handshake as ever, others with a refusal", async () => {
    const goOn = Promise.withResolvers<void>();
    await using server = await listeningServer(fakeDrivers({ leave: async () => goOn.promise }));
    const accepted: Socket[] = [];
    server.app.server.on("connection", (socket: Socket) => void accepted.push(socket));
    using busy = new Connection(server.path);
    using first = new Connection(server.path);
    using second = new Connection(server.path);
    busy.socket.write(LEAVE);
    first.socket.write(LEAVE.slice(0, 4));
    second.socket.write(ACTIVATE.slice(0, 4));
    while (accepted.length < 3 || accepted.some((socket) => socket.bytesRead === 0)) await setImmediate();

    const closing = server.listening.close();
    await setImmediate();
    const answers = [await first.ask(LEAVE.slice(4)), await second.ask(ACTIVATE.slice(4))];
    goOn.resolve();

    expect(answers).toMatchObject([
      { status: 200, body: { Err: expect.stringContaining("tsnet is shutting down") } },
      { status: 200, body: { Implements: ["NetworkDriver", "IpamDriver"] } },
    ]);
    expect((await busy.answer()).body).toEqual({});
    await closing;
  });

  it("answers calls that do not end, and aborts their signals, when the time for it is over", async () => {
    const started = Promise.withResolvers<AbortSignal>();
    const createNetwork = async (_request: unknown, signal: AbortSignal) => {
      started.resolve(signal);
      await new Promise<never>(() => {});
    };
    await using server = await listeningServer(fakeDrivers({ createNetwork }), { drainTimeoutMs: 50 });
    using connection = new Connection(server.path);
    connection.socket.write(engineRequest("NetworkDriver.CreateNetwork", { NetworkID: NETWORK_ID }));
    const signal = await started.promise;

    await server.listening.close();

    expect((await connection.answer()).body).toMatchObject({ Err: expect.stringContaining("tsnet was stopped") });
    expect(signal.aborted).toBe(true);
  });

  it("twice is the same as once", async () => {
    await using server = await listeningServer(fakeDrivers());

    await Promise.all([server.listening.close(), server.listening.close()]);
    await server.listening.close();

    await expect(lstat(server.path)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
