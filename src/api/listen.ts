// Opens the unix sockets that the engine finds tsnet by, several for one server: a managed plugin listens in its own
// directory and, under a name without a version, in the host's.
//
// A socket is made under a temporary name and then linked to its path. So the path appears complete, and closing, at
// which libuv removes the name that was bound, never removes the file of a successor that has taken the path over.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { link, lstat, mkdir, rm } from "node:fs/promises";
import { type Server, type Socket, connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import type { FastifyInstance } from "fastify";
import { TsnetError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

// sun_path, unix(7), without its closing NUL.
const MAX_PATH_BYTES = 107;
const MAX_CONNECTIONS = 256;
// After the server's own 8 s for calls in flight, before Docker's SIGKILL at 10 s.
const HARD_CLOSE_MS = 8500;
const ONLY_OWNER_UMASK = 0o177;

/** The open sockets of one server. */
export interface Listening {
  /** Stops accepting, lets calls in flight end, removes the socket files that are still ours, closes connections. */
  close(): Promise<void>;
}

interface SocketFile {
  readonly path: string;
  readonly inode: number;
}

/**
 * Listens on every path, all or none. The files have mode 0600; missing folders are made with mode 0700.
 *
 * @throws TsnetError `conflict` if a path has a live socket or is no socket, `invalid` if it is too long, `host`
 * if the host refuses.
 */
export async function listenOnSockets(app: FastifyInstance, paths: readonly string[], log: Log): Promise<Listening> {
  await app.ready();
  const connections = trackConnections(app);
  const servers: Server[] = [];
  const files: SocketFile[] = [];
  const close = onlyOnce(() => closeAll(app, servers, files, connections));
  try {
    for (const path of paths) {
      // Only the first socket is fastify's own; the others hand their connections over to it.
      const server = servers.length === 0 ? app.server : createFeeder(app);
      servers.push(server);
      files.push(await open(server, path));
      // A connection that could not be accepted must not end the daemon.
      server.on("error", (error) => log.error({ path, error: error.message }, "socket failed"));
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  return { close };
}

function createFeeder(app: FastifyInstance): Server {
  return createServer({ allowHalfOpen: true }, (socket) => void app.server.emit("connection", socket));
}

async function open(server: Server, path: string): Promise<SocketFile> {
  const folder = dirname(path);
  const boundPath = join(folder, `.tsnet-${randomBytes(4).toString("hex")}`);
  if (Math.max(Buffer.byteLength(path), Buffer.byteLength(boundPath)) > MAX_PATH_BYTES) {
    throw new TsnetError("invalid", `cannot listen on ${path}: the path is too long for a socket (unix(7))`);
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await removeDeadSocket(path);
    return { path, inode: await bindAs(server, boundPath, path) };
  } catch (cause) {
    if (cause instanceof TsnetError) throw cause;
    throw new TsnetError("host", `cannot listen on ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** @returns the inode of the socket, which afterwards has no name but `path`. */
async function bindAs(server: Server, boundPath: string, path: string): Promise<number> {
  await bind(server, boundPath);
  try {
    const { ino } = await lstat(boundPath);
    await link(boundPath, path);
    return ino;
  } finally {
    await rm(boundPath, { force: true });
  }
}

/** Makes way for a new socket. @throws TsnetError `conflict` unless there is none or nobody listens on it. */
async function removeDeadSocket(path: string): Promise<void> {
  const file = await lstat(path).catch(ignoreAbsence);
  if (file === undefined) return;
  if (!file.isSocket()) throw new TsnetError("conflict", `cannot listen on ${path}: it exists and is not a socket`);
  if (await isAnswered(path)) throw new TsnetError("conflict", `another tsnet answers on ${path}`);
  await removeIfSame({ path, inode: file.ino });
}

async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch (cause) {
    if (isErrno(cause, "ECONNREFUSED") || isErrno(cause, "ENOENT")) return false;
    // The queue of a listener that is busy.
    if (isErrno(cause, "EAGAIN")) return true;
    throw cause;
  } finally {
    socket.destroy();
  }
}

/** Binding happens inside `listen`, before it returns: the mask is that of the socket file and of nothing else. */
async function bind(server: Server, path: string): Promise<void> {
  server.maxConnections = MAX_CONNECTIONS;
  const mask = process.umask(ONLY_OWNER_UMASK);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  await once(server, "listening");
}

/** The connections that are open, also those on which nothing was asked yet. */
export function trackConnections(app: FastifyInstance): ReadonlySet<Socket> {
  const connections = new Set<Socket>();
  app.server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  return connections;
}

async function closeAll(
  app: FastifyInstance,
  servers: readonly Server[],
  files: readonly SocketFile[],
  connections: ReadonlySet<Socket>,
): Promise<void> {
  // Idle connections are closed by node, but not those on which nothing was ever sent.
  for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
  const timer = setTimeout(() => connections.forEach((socket) => socket.destroy()), HARD_CLOSE_MS);
  const feeders = servers.filter((server) => server !== app.server);
  await Promise.all([app.close(), ...feeders.map(closeServer)]);
  clearTimeout(timer);
  for (const file of files) await removeIfSame(file);
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  server.close();
  await once(server, "close");
}

async function removeIfSame(file: SocketFile): Promise<void> {
  const found = await lstat(file.path).catch(ignoreAbsence);
  if (found?.ino === file.inode) await rm(file.path, { force: true });
}

function ignoreAbsence(cause: unknown): undefined {
  if (!isErrno(cause, "ENOENT")) throw cause;
}

function isErrno(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === code;
}

/** Runs `work` on the first call; all calls share its outcome. */
function onlyOnce(work: () => Promise<void>): () => Promise<void> {
  let outcome: Promise<void> | undefined;
  return () => (outcome ??= work());
}
