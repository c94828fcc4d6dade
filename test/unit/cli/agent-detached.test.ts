import { statSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { HostTools } from "../../../src/cli/host-tools.ts";
import type { FoundOwner } from "../../../src/cli/namespace-owner.ts";
import { TsnetError } from "../../../src/errors.ts";
import { WEB, follow, toolsWith } from "../../support/agent-rig.ts";

/** `web`, as if its namespace were not the host's. */
vi.mock("../../../src/cli/namespace-owner.ts", async (original) => ({
  ...(await original<object>()),
  findContainerOwner: async (): Promise<FoundOwner> => {
    const path = "/proc/self/ns/net";
    const { dev, ino } = statSync(path);
    return { kind: "container", id: WEB.id, name: WEB.name, path, identity: WEB.id, namespace: `${dev} ${ino}` };
  },
}));

/** With nothing in any namespace. */
class EmptyHost extends HostTools {
  override inside(): HostTools {
    return this;
  }

  override async json<Answer>(): Promise<Answer> {
    return [] as Answer; // ip(8) prints lists
  }
}

/** The agent at the start of `web`; tsnet refuses. @param isDetached - whether somebody has detached it by then. */
async function startWith({ isDetached }: { readonly isDetached: boolean }) {
  const fake = await toolsWith([WEB]);
  const { daemon } = fake.tools;
  const { read } = daemon;
  const asked: object[] = [];
  daemon.call = async (_verb: string, message: object) => {
    asked.push(message);
    if (isDetached) daemon.read = async (path) => ({ ...(await read(path)), networks: [] });
    throw new TsnetError("unavailable", "web is not attached any more");
  };
  await follow({ ...fake, tools: { ...fake.tools, host: new EmptyHost() } }, [
    { kind: "started", containerId: WEB.id },
  ]);
  return { asked, notes: fake.notes };
}

describe("an attachment that is taken off while the agent is at it", () => {
  it("is asked for as one that is attached, so that it stays off, and nothing is said", async () => {
    const { asked, notes } = await startWith({ isDetached: true });

    expect(asked).toMatchObject([{ OwnerID: WEB.id, Again: true }]);
    expect(notes).toEqual([]);
  });

  it("is spoken of when it is refused, and still there", async () => {
    const { notes } = await startWith({ isDetached: false });

    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/^tsnet: web on .*not attached any more; it is tried again$/);
  });
});
