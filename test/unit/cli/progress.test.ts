// What a command says while somebody at a terminal waits: whatever is slow, it is named after a second.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Console } from "../../../src/cli/console.ts";
import { detach } from "../../../src/cli/detach.ts";
import { ipam } from "../../../src/cli/ipam.ts";
import { ls } from "../../../src/cli/ls.ts";
import { macs } from "../../../src/cli/macs.ts";
import { show } from "../../../src/cli/show.ts";
import type { Tools } from "../../../src/cli/tools.ts";
import { MemoryOutput, deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";
import { hostLink } from "../../support/cli-host.ts";

const SLOW_MS = 1500;

const attachment = {
  owner: { kind: "container", id: "c1", name: "web" },
  ifName: "eth0",
  hasDefaultRoute: false,
  routes: [],
  isOnce: true,
} as const;

const slowly = async <T>(answer: () => Promise<T>): Promise<T> => {
  await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
  return answer();
};

/** @param slow - what takes longer than a second: a page of the daemon, a verb of it, or a tool of the host. */
async function notesOf(slow: string, command: (tools: Tools) => Promise<void>): Promise<string> {
  const attached = endpointStatus(1, 1, { attachment });
  const desk = deskIn({
    networks: [networkStatus(1, { endpoints: [attached] })],
    docker: dockerWith({ front: 1 }),
    prints: {
      "ip -json -details address": [hostLink("tsn-1", { kind: "bridge" })],
      "bridge -json vlan show": [],
      "bridge -json -statistics fdb show br tsn-1": [],
    },
  });
  const notes = new MemoryOutput(true);
  const { host, daemon } = desk;
  const text = host.text.bind(host);
  vi.spyOn(host, "text").mockImplementation((...line) => {
    const print = () => text(...line);
    return line.join(" ") === slow ? slowly(print) : print();
  });
  const tools: Tools = {
    ...desk,
    console: new Console(desk.out, notes, {}),
    daemon: {
      ...daemon,
      read: (path) => (path === slow ? slowly(() => daemon.read(path)) : daemon.read(path)),
      call: () => slowly(async () => ({ WasAttached: true }) as never),
    },
  };
  const done = command(tools);
  await vi.runAllTimersAsync();
  await done;
  return notes.text;
}

describe("a command that takes longer than a second says what it waits for", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each([
    ["ls", "/status", "tsnet", (tools: Tools) => ls(tools, {})],
    ["ipam", "/pools", "the pools", (tools: Tools) => ipam(tools, undefined, {})],
    ["show", "ip -json -details address", "the host", (tools: Tools) => show(tools, undefined, {})],
    ["macs", "ip -json -details address", "the host", (tools: Tools) => macs(tools, "front", {})],
    ["macs", "bridge -json -statistics fdb show br tsn-1", "the switch", (tools: Tools) => macs(tools, "front", {})],
    [
      "detach",
      "Operator.Detach",
      "tsnet",
      (tools: Tools) => detach(tools, { choice: { container: "web" }, network: "front" }, {}),
    ],
  ] as const)("%s, of %s", async (_command, slow, what, command) => {
    expect(await notesOf(slow, command)).toBe(`tsnet: waiting for ${what}\n`);
  });
});
