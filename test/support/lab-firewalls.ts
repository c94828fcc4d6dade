// firewalld and ufw in a lab, as they are on a host: firewalld as a daemon on a system bus, ufw by its command. They come from
// Debian's packages, unpacked with all they depend on (not installed), and run in that folder as their root, under the
// lab's namespaces: /run, /proc and /dev are the lab's, what they write lies in an overlay in the lab's folder.
import { copyFile, cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";
import { provideUnpacked } from "./unpacked-packages.ts";
import { waitUntil } from "./wait-until.ts";

const SUITE = "bookworm";

/** firewalld and ufw themselves depend on an init system and polkit, which nothing here uses. */
const PACKAGES = {
  suite: SUITE,
  alone: ["firewalld", "ufw"],
  complete: [
    "base-files",
    "coreutils",
    "dash",
    "dbus-daemon",
    "grep",
    "iptables",
    "procps",
    "python3-firewall",
    "python3-nftables",
  ],
} as const;

/** For a hook that makes them available: the first one on a machine fetches the packages. */
export const FETCH_LIMIT_MS = 600_000;

const LIMITS = { limitMs: 30_000, intervalMs: 100 };
const BUS_FOLDER = "/run/dbus";
const BUS_SOCKET = `${BUS_FOLDER}/system_bus_socket`;

/** Everything is permitted: only root is here. The package's own configuration wants a user `messagebus`. */
const BUS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=${BUS_SOCKET}</listen>
  <auth>EXTERNAL</auth>
  <policy user="root"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
`;

/** The programs of one lab. What runs ends with the lab. */
export class LabFirewalls {
  readonly #namespace: LabNamespace;
  readonly #root: string;
  #firewalld: LabProcess | undefined;

  private constructor(namespace: LabNamespace, root: string) {
    this.#namespace = namespace;
    this.#root = root;
  }

  /** Makes both available; none runs. */
  static async prepare(namespace: LabNamespace): Promise<LabFirewalls> {
    const packed = join(process.env["TSNET_DEBS"] ?? "/var/cache/tsnet-debs", `firewalls-${SUITE}-1`);
    await provideUnpacked(packed, "firewalld and ufw", PACKAGES, finishRoot);
    const folder = join(namespace.folder, "firewalls");
    for (const part of ["root", "upper", "work"]) await mkdir(join(folder, part), { recursive: true });
    const root = join(folder, "root");
    const layers = `lowerdir=${packed},upperdir=${folder}/upper,workdir=${folder}/work`;
    // Where there can be no overlay (the folder itself lies on one) a copy serves.
    const mount = `mount -t overlay overlay -o "$1" "$0" 2>/dev/null || cp -a ${packed}/. "$0"`;
    await namespace.exec(["sh", "-c", mount, root, layers]);
    for (const part of ["proc", "sys", "run", "dev"])
      await namespace.exec(["mount", "--rbind", `/${part}`, `${root}/${part}`]);
    return new LabFirewalls(namespace, root);
  }

  /** Runs `ufw` or `firewall-cmd`. @returns its standard output. */
  async exec(...argv: string[]): Promise<string> {
    return await this.#namespace.exec(["chroot", this.#root, ...argv]);
  }

  /** Types command lines into a shell, which ends at the first that fails. */
  async type(...lines: string[]): Promise<void> {
    await this.exec("sh", "-euc", lines.join("\n"));
  }

  /** Starts the system bus, where dockerd and firewalld look for each other. */
  async startBus(): Promise<void> {
    await this.#namespace.exec(["sh", "-c", 'mkdir -p "$0" && cat > "$0/bus.conf"', BUS_FOLDER], { input: BUS });
    await this.#spawn("bus", ["dbus-daemon", `--config-file=${BUS_FOLDER}/bus.conf`, "--nofork", "--nopidfile"]);
    await waitUntil("the bus to listen", async () => (await this.#namespace.exec(["test", "-S", BUS_SOCKET])) === "");
  }

  /** Starts firewalld on the bus and waits until it has made its rules. */
  async startFirewalld(): Promise<void> {
    this.#firewalld = await this.#spawn("firewalld", ["firewalld", "--nofork", "--nopid", "--log-target", "console"]);
    const chain = ["nft", "list", "chain", "inet", "firewalld", "filter_FWD_public"]; // cheaper to ask for than its state
    await waitUntil("the rules of firewalld", async () => (await this.#namespace.exec(chain)) !== "", LIMITS);
    await waitUntil("firewalld to run", async () => (await this.exec("firewall-cmd", "--state")) === "running", LIMITS);
  }

  /** As an init system ends it: it takes its rules away. */
  async stopFirewalld(): Promise<void> {
    if (this.#firewalld === undefined) throw new Error("firewalld does not run");
    await this.#namespace.exec(["kill", String(this.#firewalld.pid)]);
    await this.#firewalld.ended;
    this.#firewalld = undefined;
  }

  async #spawn(label: string, argv: readonly string[]): Promise<LabProcess> {
    return await this.#namespace.spawn(label, ["chroot", this.#root, ...argv]);
  }
}

/** What the packages' scripts do when they are installed, as far as it matters here. */
async function finishRoot(root: string): Promise<void> {
  for (const tool of ["iptables", "ip6tables"]) {
    for (const end of ["", "-save", "-restore"])
      await symlink(`${tool}-nft${end}`, join(root, `usr/sbin/${tool}${end}`));
  }
  await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await writeFile(join(root, "etc/group"), "root:x:0:\n");
  await cp(join(root, "usr/share/ufw/iptables"), join(root, "etc/ufw"), { recursive: true });
  await copyFile(join(root, "usr/share/ufw/ufw.conf"), join(root, "etc/ufw/ufw.conf"));
}
