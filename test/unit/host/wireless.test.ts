// A folder stands for /sys/class/net.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isWireless } from "../../../src/host/wireless.ts";

let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tsnet-wireless-"));
  for (const path of ["wlan0/phy80211", "ath0/wireless", "eth0/queues"]) {
    await mkdir(join(root, path), { recursive: true });
  }
});

afterAll(async () => {
  await rm(root, { recursive: true });
});

describe("isWireless", () => {
  it.each([
    ["wlan0", true],
    ["ath0", true],
    ["eth0", false],
    ["absent0", false],
  ])("says of %s %s", async (ifName, expected) => {
    expect(await isWireless(ifName, root)).toBe(expected);
  });
});
