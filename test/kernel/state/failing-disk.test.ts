// The real daemon on a disk of its own that gets full, or read-only, while containers run.
import { describe, expect, it } from "vitest";
import type { EngineNetwork } from "../../support/engine-double.ts";
import { ServeHost } from "../../support/serve-host.ts";
import { waitUntil } from "../../support/wait-until.ts";

/** A host whose daemon has its records on a tmpfs. */
async function onOwnDisk(): Promise<ServeHost> {
  const host = await ServeHost.up("disk");
  await host.serve.stop();
  await host.exec("mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "records", host.serve.stateDir);
  await host.serve.startAgain();
  return host;
}

async function fill(host: ServeHost): Promise<void> {
  await host.exec("sh", "-c", `cat /dev/zero > ${host.serve.stateDir}/ballast || true`);
}

/** What commits there may still be room for is used up. @returns how it was refused at last. */
async function useUp(host: ServeHost, { poolId }: EngineNetwork): Promise<string> {
  const wish = { PoolID: poolId, Address: "", Options: {} };
  return await waitUntil(
    "the disk to be full",
    async () => {
      const { Error: refusal } = await host.engine.call("IpamDriver.RequestAddress", wish);
      return typeof refusal === "string" && refusal;
    },
    { intervalMs: 0, limitMs: 30_000 },
  );
}

async function links(host: ServeHost): Promise<string[]> {
  return (await host.links())
    .map(({ ifname }) => ifname)
    .filter((name) => /^ts[nv]/.test(name))
    .sort();
}

describe("the daemon", () => {
  it("refuses on a full disk what is new and takes it back, removes, and goes on when there is room [F33]", async () => {
    await using host = await onOwnDisk();
    const { engine } = host;
    const blue = await engine.createNetwork({ subnet: "10.60.0.0/16", gateway: "10.60.0.1" });
    const [first, second] = [await engine.start(blue), await engine.start(blue)];
    await fill(host);
    const refusal = await useUp(host, blue);
    const before = await links(host);

    expect(refusal).toMatch(/^cannot give out address .*: cannot write .*tsnet\.db: database or disk is full$/);
    await expect(engine.start(blue)).rejects.toThrow("database or disk is full");
    await expect(engine.createNetwork({ subnet: "10.61.0.0/24", gateway: "10.61.0.1" })).rejects.toThrow("is full");
    expect(await links(host)).toEqual(before);
    expect(await host.reachesGateway(second)).toBe(true);
    await engine.stop(first);
    expect(await links(host)).toEqual(before.filter((name) => name !== `tsv${first.id.slice(0, 12)}`));
    await host.exec("rm", `${host.serve.stateDir}/ballast`);
    await engine.stop(await engine.start(blue));
    await engine.stop(second);
    await engine.removeNetwork(blue);

    expect(await links(host)).toEqual([]);
    await host.serve.restart();
    expect(await engine.call("NetworkDriver.GetCapabilities")).toHaveProperty("Scope");
  });

  it("refuses on a read-only disk what is new, takes away what goes, and stays up when it starts there [F34]", async () => {
    await using host = await onOwnDisk();
    const { engine } = host;
    const blue = await engine.createNetwork({ subnet: "10.60.0.0/24", gateway: "10.60.0.1" });
    const [first, second] = [await engine.start(blue), await engine.start(blue)];
    const remount = (how: string) => host.exec("mount", "-o", `remount,${how}`, host.serve.stateDir);
    await host.serve.stop();
    await remount("ro");
    await host.serve.startAgain();

    const why = /cannot open the records in .*: /;
    await expect(engine.start(blue)).rejects.toThrow(why);
    expect(await host.exec("curl", "-s", "--unix-socket", "/run/docker/plugins/tsnet.sock", "http://t/status")).toMatch(
      why,
    );
    expect([await host.reachesGateway(first), await host.reachesGateway(second)]).toEqual([true, true]);
    await engine.stop(first);
    expect(await links(host)).not.toContain(`tsv${first.id.slice(0, 12)}`);
    await host.serve.stop();
    await remount("rw");
    await host.serve.startAgain();
    await engine.stop(await engine.start(blue));
    expect(await host.reachesGateway(second)).toBe(true);
  });
});
