// Files of a temporary folder stand for /proc/sys/net; the real one is used by a process of its own in a namespace, since
// Node.js reads files on threads that stay outside.
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { Sysctl } from "../../../src/host/sysctl.ts";
import { NetNamespace } from "../../support/namespace.ts";

async function folder(): Promise<AsyncDisposable & { readonly root: string; readonly sysctl: Sysctl }> {
  const root = await mkdtemp(`${tmpdir()}/tsnet-sysctl-`);
  await mkdir(`${root}/ipv4/conf/eth0.100`, { recursive: true });
  await writeFile(`${root}/ipv4/ip_forward`, "0\n");
  await writeFile(`${root}/ipv4/conf/eth0.100/rp_filter`, "2\n");
  return { root, sysctl: new Sysctl(root), [Symbol.asyncDispose]: () => rm(root, { recursive: true }) };
}

/** Runs `ensure("ipv4/ip_forward", "1")` in a process of the namespace, after a shell command, and tells what came of it. */
async function ensureIn(ns: NetNamespace, before: string): Promise<string> {
  const script = `
    import { Sysctl } from "${import.meta.dirname}/../../../src/host/sysctl.ts";
    console.log(await new Sysctl().ensure("ipv4/ip_forward", "1").catch((failure) => failure.message));`;
  const node = `'${process.execPath}' --input-type=module-typescript --no-warnings`;
  const command = `${before} && printf %s "$0" | ${node}`;
  return (await ns.exec(["unshare", "--mount", "sh", "-c", command, script])).trim();
}

describe("read", () => {
  it("gives the value without the line end", async () => {
    await using files = await folder();

    expect(await files.sysctl.read("ipv4/conf/eth0.100/rp_filter")).toBe("2");
  });

  it("gives undefined for a setting that this kernel does not have", async () => {
    await using files = await folder();

    expect(await files.sysctl.read("bridge/bridge-nf-call-iptables")).toBeUndefined();
    expect(await files.sysctl.read("ipv4/ip_forward/below")).toBeUndefined();
  });

  it.each([
    "../kernel/hostname",
    "ipv4/../../kernel/hostname",
    "/etc/passwd",
    "",
    "ipv4//x",
    "ipv4/conf/a b",
    "ipv4/.",
  ])("refuses the path %j", async (path) => {
    await using files = await folder();

    await expect(files.sysctl.read(path)).rejects.toMatchObject({ code: "internal" });
    await expect(files.sysctl.ensure(path, "1")).rejects.toMatchObject({ code: "internal" });
  });
});

describe("ensure", () => {
  it("writes a value that differs", async () => {
    await using files = await folder();

    expect(await files.sysctl.ensure("ipv4/ip_forward", "1")).toBe("written");
    expect(await readFile(`${files.root}/ipv4/ip_forward`, "utf8")).toMatch(/^1/);
  });

  it("does not write a value that is there", async () => {
    await using files = await folder();
    const before = await stat(`${files.root}/ipv4/ip_forward`, { bigint: true });

    expect(await files.sysctl.ensure("ipv4/ip_forward", "0")).toBe("unchanged");
    expect((await stat(`${files.root}/ipv4/ip_forward`, { bigint: true })).mtimeNs).toBe(before.mtimeNs);
  });

  it("refuses a setting that does not exist, by its dotted name", async () => {
    await using files = await folder();

    const ensuring = files.sysctl.ensure("ipv4/conf/eth0.100/absent", "1");

    await expect(ensuring).rejects.toThrow("sysctl net.ipv4.conf.eth0/100.absent does not exist on this host");
  });

  it("writes the kernel's own setting", async () => {
    await using ns = await NetNamespace.create();

    expect(await ensureIn(ns, "true")).toBe("written");
    expect(await ns.exec(["cat", "/proc/sys/net/ipv4/ip_forward"])).toBe("1\n");
    expect(await ensureIn(ns, "true")).toBe("unchanged");
  });

  it("says the setting, both values, the reason and the command for the host when /proc/sys is read-only [F91]", async () => {
    await using ns = await NetNamespace.create();

    const message = await ensureIn(ns, "mount -o bind,ro /proc/sys /proc/sys");

    expect(message).toBe(
      "cannot set sysctl net.ipv4.ip_forward to 1, it is 0: it is on a read-only file system; " +
        "run on the host: sysctl -w net.ipv4.ip_forward=1",
    );
    expect(await ns.exec(["cat", "/proc/sys/net/ipv4/ip_forward"])).toBe("0\n");
  });
});
