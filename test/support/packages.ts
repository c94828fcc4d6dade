// Debian packages that the tests and the demo need. Asks apt-get only for what is missing, says so before, starts no
// service, and never removes a package of the user's to make room (as installing docker.io beside docker-ce would).
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { execa } from "execa";
import { onProcessEnd } from "./lab-cleanup.ts";

const POLICY = "/usr/sbin/policy-rc.d";
const APT_FLAGS = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-qq"];

/** What a lab with a Docker Engine, Open vSwitch and the managed plugin needs; binutils for `strip`. */
export const LAB_PACKAGES = [
  "iproute2",
  "nftables",
  "iptables",
  "util-linux",
  "binutils",
  "curl",
  "busybox-static",
  "docker.io",
  "docker-compose",
  "openvswitch-switch",
] as const;

/** What the virtual machine needs besides. */
export const VM_PACKAGES = ["qemu-system-x86", "kmod", "wireguard-tools"] as const;

/** What the whole of `npm test` needs. */
export const TEST_PACKAGES = [
  ...LAB_PACKAGES,
  "docker-registry",
  "debootstrap",
  "ca-certificates",
  "xz-utils",
  "strace",
  "containernetworking-plugins",
] as const;

/**
 * Installs those of the packages that are missing. When none is, no apt-get runs.
 *
 * @returns the names that were installed.
 * @throws Error when the machine has no apt-get, we are not root, or apt-get fails.
 */
export async function ensurePackages(names: readonly string[]): Promise<readonly string[]> {
  const missing = await findMissing(names);
  if (missing.length === 0) return missing;
  const command = `apt-get install ${missing.join(" ")}`;
  if (!existsSync("/usr/bin/apt-get")) throw new Error(`this machine has no apt-get; needed are: ${missing.join(" ")}`);
  if (process.getuid?.() !== 0) throw new Error(`not root; as root run: ${command}`);
  console.error(`installing Debian packages: ${missing.join(" ")}`);
  using _policy = forbidServices();
  await apt("update");
  await apt("install", "--yes", "--no-install-recommends", "--no-remove", ...missing);
  return missing;
}

async function findMissing(names: readonly string[]): Promise<readonly string[]> {
  const query = await execa("dpkg-query", ["-W", "-f", "${Package} ${db:Status-Status}\n", ...names], {
    reject: false,
  });
  const installed = new Set(query.stdout.split("\n").filter((line) => line.endsWith(" installed")));
  return names.filter((name) => !installed.has(`${name} installed`));
}

async function apt(...args: string[]): Promise<void> {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await execa("apt-get", [...APT_FLAGS, ...args], { env, stdin: "ignore", timeout: 900_000 });
}

/** Keeps package scripts from starting services meanwhile, unless the machine has a policy of its own. */
function forbidServices(): Disposable {
  if (existsSync(POLICY)) return { [Symbol.dispose]() {} };
  writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  const remove = () => rmSync(POLICY, { force: true });
  const forget = onProcessEnd(remove);
  return {
    [Symbol.dispose]() {
      remove();
      forget();
    },
  };
}
