// Loaded before the daemon's own code (`steps.ts`): writes down every step by which the process changes
// something outside of itself, and ends it with SIGKILL at a chosen one. The daemon's code knows nothing of it. What is
// a step is decided where bytes leave the process: the C library's send(2) and ioctl(2), a commit to the records, a write
// to Open vSwitch, a started command, a written file, the answer on the socket. `steps.ts` reads and steers it.
import childProcess from "node:child_process";
import fs, { appendFileSync, readFileSync } from "node:fs";
import { ServerResponse } from "node:http";
import { Socket } from "node:net";
import { join } from "node:path";
import { DatabaseSync, StatementSync } from "node:sqlite";
import koffi from "koffi";

type Method = (this: unknown, ...args: unknown[]) => unknown;

const folder = process.env["TSNET_TEST_STEPS"] ?? "";
const AF_NETLINK = 16;
const AF_PACKET = 17;
const ROUTE = 0;
const NETFILTER = 12;
/** linux/rtnetlink.h, from 16 on in groups of NEW, DEL, GET, SET. */
const OBJECTS = ["link", "address", "route", "neighbour", "rule"];
const ACTIONS = ["new", "delete", "get", "set"];
/** linux/netfilter/nfnetlink.h: subsystems, and those of their messages that change nothing. */
const SUBSYSTEMS = new Map([
  [1, { name: "conntrack", questions: [1, 4, 5, 6, 7] }],
  [10, { name: "nftables", questions: [1, 4, 7, 10, 13, 16, 19, 21, 23] }],
]);
/** OpenFlow 1.4, 7.1. */
const OPENFLOW = new Map([
  [13, "packet-out"],
  [14, "flow-mod"],
  [15, "group-mod"],
  [33, "bundle-control"],
  [34, "bundle-add"],
]);

const ANSWER = "answer";
/** A transaction that does more than ask (RFC 7047, 5.2). */
const isTransaction = /^\{"method":"transact".*"op":"(?:insert|update|mutate|delete)"/;

let token = "";
let killAt = -1;
let count = 0;

/** One point: noted, and the end if it is the chosen one. */
function point(when: "before" | "after", what: string): void {
  const [armed = "", at = "-1", which = ""] = readOr("", join(folder, "arm")).split(" ");
  // After a step is before the next one, if that comes after it; the answer is the last.
  if (armed === "" || (which === "before" && when === "after" && what !== ANSWER)) return;
  if (armed !== token) [token, killAt, count] = [armed, Number(at), 0];
  appendFileSync(join(folder, "steps"), `${JSON.stringify({ token, at: count, when, what })}\n`);
  if (count === killAt) process.kill(process.pid, "SIGKILL");
  count += 1;
}

function readOr(otherwise: string, path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return otherwise;
  }
}

/** Puts another method in the place of one. @param make - gets the former one. */
function replaceMethod(owner: object, name: string, make: (former: Method) => Method): void {
  const former = Reflect.get(owner, name) as Method; // the callers name methods
  Reflect.set(owner, name, make(former));
}

// Netlink, packets and ioctl: by koffi.
const sockets = new Map<number, { readonly domain: number; readonly protocol: number }>();
type Library = { func(prototype: string): Method & { async: Method } };
replaceMethod(koffi, "load", (load) => (path) => {
  const library = load(path) as Library; // koffi
  return { func: (prototype: string) => watched(prototype, library.func(prototype)) };
});

function watched(prototype: string, call: Method & { async: Method }): unknown {
  const name = /(\w+)\(/.exec(prototype)?.[1];
  if (name === "socket") {
    return (...args: number[]) => {
      const fd = call(...args) as number; // as its prototype says
      const [domain = 0, , protocol = 0] = args;
      sockets.set(fd, { domain, protocol });
      return fd;
    };
  }
  if (name !== "send" && name !== "ioctl") return call;
  const describe = name === "send" ? describeSent : describeIoctl;
  const now = (...args: unknown[]) => around(describe(args), () => call(...args));
  const later = (...args: unknown[]) => {
    const what = describe(args);
    const done = args.at(-1) as Method; // koffi: the last argument is the callback
    if (what !== undefined) point("before", what);
    return call.async(...args.slice(0, -1), (...result: unknown[]) => {
      if (what !== undefined) point("after", what);
      done(...result);
    });
  };
  return Object.assign(now, { async: later });
}

function around<T>(what: string | undefined, task: () => T): T {
  if (what === undefined) return task();
  point("before", what);
  const result = task();
  point("after", what);
  return result;
}

/** Undefined for what changes nothing. */
function describeSent([fd, data]: readonly unknown[]): string | undefined {
  const socket = sockets.get(fd as number); // send(2)
  const bytes = data as Buffer; // send(2)
  if (socket?.domain === AF_PACKET) return "packet";
  if (socket?.domain !== AF_NETLINK) return undefined;
  const changes: string[] = [];
  for (let at = 0; at + 16 <= bytes.length;) {
    const change = describeNetlink(socket.protocol, bytes.readUInt16LE(at + 4));
    if (change !== undefined) changes.push(change);
    at += Math.max(16, (bytes.readUInt32LE(at) + 3) & ~3);
  }
  return changes.length === 0 ? undefined : [...new Set(changes)].join(", ");
}

function describeNetlink(protocol: number, type: number): string | undefined {
  if (protocol === ROUTE) {
    const action = ACTIONS[type & 3] ?? "";
    const object = OBJECTS[(type - 16) >> 2] ?? `object ${(type - 16) >> 2}`;
    return action === "get" ? undefined : `netlink ${action} ${object}`;
  }
  const subsystem = protocol === NETFILTER ? SUBSYSTEMS.get(type >> 8) : undefined;
  if (subsystem === undefined || subsystem.questions.includes(type & 0xff)) return undefined;
  return `${subsystem.name} message ${type & 0xff}`;
}

function describeIoctl(): string {
  return "ioctl";
}

// The records.
const written: string[] = [];
replaceMethod(StatementSync.prototype, "run", (run) => {
  return function (this: unknown, ...args: unknown[]) {
    const [kind, , body] = args;
    const state = /"state":"(\w+)"/.exec(typeof body === "string" ? body : "")?.[1];
    written.push(`${body === undefined ? "remove" : "put"} ${String(kind)}${state === undefined ? "" : ` ${state}`}`);
    return run.apply(this, args);
  };
});
replaceMethod(DatabaseSync.prototype, "exec", (exec) => {
  return function (this: unknown, ...args: unknown[]) {
    if (args[0] !== "COMMIT") return exec.apply(this, args);
    return around(`records ${written.splice(0).join(", ")}`, () => exec.apply(this, args));
  };
});

// Open vSwitch's database and switches.
replaceMethod(Socket.prototype, "write", (write) => {
  return function (this: unknown, ...args: unknown[]) {
    return around(describeWritten(args[0]), () => write.apply(this, args));
  };
});

function describeWritten(data: unknown): string | undefined {
  if (typeof data === "string") return isTransaction.test(data) ? "ovsdb transact" : undefined;
  if (!(data instanceof Uint8Array) || data.length < 8 || ![4, 5, 6].includes(data[0] ?? 0)) return undefined;
  const name = OPENFLOW.get(data[1] ?? 0);
  return name === undefined ? undefined : `openflow ${name}`;
}

// Commands, files, and the answer.
replaceMethod(childProcess, "spawn", (spawn) => (...args) => {
  const [command, argv] = args as [string, readonly string[]]; // child_process.spawn
  if (!argv.includes("-f")) return spawn(...args);
  const what = `command ${command} ${argv.filter((arg) => /^-?\w+$/.test(arg)).join(" ")}`;
  point("before", what);
  const child = spawn(...args) as childProcess.ChildProcess; // child_process.spawn
  child.once("exit", () => point("after", what));
  return child;
});
for (const name of ["writeFile", "mkdtemp", "rm", "link", "mkdir"]) {
  replaceMethod(fs.promises, name, (original) => async (...args) => {
    const [path] = args as [string]; // all of them
    const what = `file ${name} ${path.startsWith("/proc/sys/") ? path : ""}`.trim();
    point("before", what);
    const result = await original(...args);
    point("after", what);
    return result;
  });
}
for (const name of ["linkSync", "rmSync", "mkdirSync"]) {
  replaceMethod(
    fs,
    name,
    (original) =>
      (...args) =>
        around(`file ${name}`, () => original(...args)),
  );
}
replaceMethod(ServerResponse.prototype, "end", (end) => {
  return function (this: unknown, ...args: unknown[]) {
    return around(ANSWER, () => end.apply(this, args));
  };
});
