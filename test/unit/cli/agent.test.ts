import { describe, expect, it } from "vitest";
import { TsnetError } from "../../../src/errors.ts";
import { CONNECTED, DETACHED, WEB, follow, toolsWith } from "../../support/agent-rig.ts";
import { network } from "../../support/cnm-builder.ts";

describe("the agent", () => {
  it("detaches what a removed container had, and says so", async () => {
    const fake = await toolsWith([]);

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.calls).toEqual([DETACHED]);
    expect(fake.lines).toEqual([`web is removed and off ${network().id.slice(0, 12)}`]);
  });

  it("finds at its start that a container was removed meanwhile", async () => {
    const fake = await toolsWith([]);

    await follow(fake, [CONNECTED]);

    expect(fake.calls).toEqual([DETACHED]);
  });

  it("leaves a container that does not run what it had", async () => {
    const fake = await toolsWith([{ ...WEB, isRunning: false }]);

    await follow(fake, [CONNECTED]);

    expect(fake.calls).toEqual([]);
  });

  it("does not attach again what was to be attached once only", async () => {
    const fake = await toolsWith([WEB], { isOnce: true });

    await follow(fake, [CONNECTED, { kind: "started", containerId: WEB.id }]);

    expect(fake.calls).toEqual([]);
    expect(fake.notes).toEqual([]);
  });

  it("does nothing about containers that have no attachment", async () => {
    const fake = await toolsWith([WEB]);

    await follow(fake, [{ kind: "removed", containerId: "other" }]);

    expect(fake.calls).toEqual([]);
  });

  it("says once what it cannot do, and tries it again when nothing else happens", async () => {
    const fake = await toolsWith([WEB]); // this test's own process: in the host's namespace
    let tries = 0;
    const { findContainer } = fake.tools;
    const tools = { ...fake.tools, findContainer: async (name: string) => (tries++, findContainer(name)) };

    await follow({ ...fake, tools }, [{ kind: "started", containerId: WEB.id }]);

    expect(tries).toBeGreaterThan(1);
    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/^tsnet: web on .*host's own network namespace.*; it is tried again$/);
  });

  it("says nothing of a container that ends in the middle of it", async () => {
    const fake = await toolsWith([{ ...WEB, pid: 4_194_999 }]);
    const { findContainer } = fake.tools;
    let isFirst = true;
    const stopped = { ...WEB, isRunning: false, pid: 0 };
    const tools = {
      ...fake.tools,
      findContainer: async (name: string) => {
        const found = isFirst ? findContainer(name) : stopped;
        isFirst = false;
        return found;
      },
    };

    await follow({ ...fake, tools }, [{ kind: "started", containerId: WEB.id }]);

    expect(fake.notes).toEqual([]);
  });

  it("says of a container that runs, and not on this host, that it is not there", async () => {
    const fake = await toolsWith([{ ...WEB, pid: 4_194_999 }]);

    await follow(fake, [{ kind: "started", containerId: WEB.id }]);

    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/4194999.*is not there: .*another host; it is tried again$/);
  });

  it("tries it again though events of others never cease", async () => {
    const fake = await toolsWith([WEB]); // this test's own process: in the host's namespace
    const { findContainer, daemon } = fake.tools;
    const { read } = daemon;
    let [tries, reads, triesBetween] = [0, 0, 0];
    const tools = { ...fake.tools, findContainer: async (name: string) => (tries++, findContainer(name)) };
    daemon.read = async (path) => {
      if (++reads === 100) triesBetween = tries;
      return read(path);
    };
    const others = Array.from({ length: 200 }, () => ({ kind: "started", containerId: "other" }) as const);

    await follow({ ...fake, tools }, [CONNECTED, ...others]);

    expect(triesBetween).toBeGreaterThan(1);
  });

  it("asks nobody while nothing happens and nothing is left to do", async () => {
    const fake = await toolsWith([{ ...WEB, isRunning: false }]);
    let reads = 0;
    const read = fake.tools.daemon.read;
    fake.tools.daemon.read = async (path) => (reads++, read(path));

    await follow(fake, [CONNECTED]);

    expect(reads).toBe(1);
  });

  it("waits when Docker is away, says so once, and looks at everything when it is back", async () => {
    const fake = await toolsWith([]);
    const away = new TsnetError("unavailable", "Docker does not answer: connect ECONNREFUSED");

    await follow(fake, [away], [away], [CONNECTED]);

    expect(fake.notes).toEqual([`tsnet: ${away.message}; it is tried again`]);
    expect(fake.calls).toEqual([DETACHED]);
  });

  it("follows anew when Docker ends its events", async () => {
    const fake = await toolsWith([]);

    await follow(fake, [], [CONNECTED]);

    expect(fake.notes).toEqual(["tsnet: Docker has ended its events; it is tried again"]);
    expect(fake.calls).toEqual([DETACHED]);
  });

  it.each([
    ["the status cannot be read", "read"],
    ["it refuses", "call"],
  ] as const)("tries again what tsnet did not do since %s, without another event", async (_why, method) => {
    const fake = await toolsWith([]);
    const { daemon } = fake.tools;
    const works = daemon[method] as (...words: unknown[]) => Promise<never>; // whichever of the two
    let isAway = true;
    daemon[method] = async (...words: unknown[]) => {
      if (!isAway) return works(...words);
      isAway = false;
      throw new TsnetError("unavailable", "no tsnet answers");
    };

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/no tsnet answers; it is tried again$/);
    expect(fake.calls).toEqual([DETACHED]);
  });
});
