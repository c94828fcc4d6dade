import { describe, expect, it } from "vitest";
import { TsnetError } from "../../../src/errors.ts";
import { CONNECTED, DETACHED, WEB, follow, toolsWith } from "../../support/agent-rig.ts";
import { network } from "../../support/cnm-builder.ts";
import { ENGINE } from "../../support/fake-tools.ts";

const OTHER = "QX2M:EOJM /srv/docker";

describe("what another engine has", () => {
  const detach = `\`tsnet detach ${WEB.id.slice(0, 12)} ${network().id.slice(0, 12)}\``;

  it("is left alone, as is said once with the names of both and the way to take it off", async () => {
    const fake = await toolsWith([], { engine: OTHER });

    await follow(fake, [CONNECTED], [CONNECTED]);

    expect(fake.calls).toEqual([]);
    const said = fake.notes.filter((note) => note.includes("web"));
    expect(said).toHaveLength(1);
    for (const part of [OTHER, ENGINE, "left alone", detach]) expect(said[0]).toContain(part);
  });

  it("is left alone where an older tsnet did not record which one that is", async () => {
    const fake = await toolsWith([], { engine: null });

    await follow(fake, [CONNECTED]);

    expect(fake.calls).toEqual([]);
    expect(fake.notes).toHaveLength(1);
    for (const part of ["is not recorded", ENGINE, detach]) expect(fake.notes[0]).toContain(part);
  });

  it.each([
    ["another one is recorded", OTHER],
    ["none is recorded", null],
  ])("is this one's if this one tells of its removal, though %s", async (_what, engine) => {
    const fake = await toolsWith([], { engine });

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.calls).toEqual([DETACHED]);
    expect(fake.notes).toEqual([]);
  });

  it("is this one's if this one told of its removal while tsnet was away", async () => {
    const fake = await toolsWith([], { engine: null });
    const { read } = fake.tools.daemon;
    let isAway = true;
    fake.tools.daemon.read = async (path) => {
      if (!isAway) return read(path);
      isAway = false;
      throw new TsnetError("unavailable", "no tsnet answers");
    };

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.calls).toEqual([DETACHED]);
  });

  it("is this one's if this one has the container: it is attached again", async () => {
    const fake = await toolsWith([WEB], { engine: OTHER }); // this test's own process: in the host's namespace

    await follow(fake, [CONNECTED]);

    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/^tsnet: web on .*host's own network namespace/);
  });
});
