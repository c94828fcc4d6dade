// Tells one boot of the host from the next.
import { readFile } from "node:fs/promises";

/** A random id that the kernel makes anew at each boot. Source: random(4), /proc/sys/kernel/random/boot_id. */
export async function readBootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}
