// Every host has the gateway's address and answers for its own containers: it leads them out, and strangers to published ports.
import { describe, expect, it } from "vitest";
import { addressBytes, macBytes } from "../../support/frames.ts";
import type { TestContainer } from "../../support/system-container.ts";
import { ask } from "../../support/system-probe.ts";
import { GATEWAY, hostAddress } from "../../support/tunnel-hosts.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { type HostsSuite, containerOf } from "./suite.ts";

interface IpLink {
  readonly ifname: string;
  readonly address: string;
  readonly addr_info: readonly { readonly local: string }[];
}

/** The MAC address by which a host answers for the gateway. */
async function gatewayMac({ stand }: HostsSuite, n: number): Promise<string> {
  const links = JSON.parse(await stand.host(n).exec(["ip", "-json", "address"])) as IpLink[];
  const found = links.find(({ addr_info }) => addr_info.some(({ local }) => local === GATEWAY[4]));
  if (found === undefined) throw new Error(`host ${n} does not have ${GATEWAY[4]}`);
  return found.address;
}

/** Waits until an address answers. */
async function requireAnswer(container: TestContainer, address: string): Promise<void> {
  await waitUntil(`${address} to answer`, () => container.exec(["busybox", "ping", "-c1", "-W2", address]));
}

export function describeGateway(suite: HostsSuite): void {
  describe("the gateway, which has one address on all hosts", () => {
    it("answers each container on its own host, and nothing of it is between the hosts", async () => {
      const { stand } = suite;
      const macs = await Promise.all([1, 2, 3].map((n) => gatewayMac(suite, n)));
      using wire = stand.listen();

      for (const [at, mac] of macs.entries()) {
        const container = containerOf(suite, at + 1);
        await container.exec(["ip", "neigh", "flush", "all"]);
        for (const address of Object.values(GATEWAY)) {
          await requireAnswer(container, address);
          const [entry] = JSON.parse(await container.exec(["ip", "-json", "neigh", "show", address])) as {
            readonly lladdr: string;
          }[];
          expect(entry?.lladdr).toBe(mac);
        }
        await requireAnswer(container, await containerOf(suite, ((at + 1) % 3) + 1).address());
      }

      expect(new Set(macs).size).toBe(3);
      expect(wire.count(addressBytes(await containerOf(suite, 1).address()))).toBeGreaterThan(0);
      expect(Object.values(GATEWAY).map((address) => wire.count(addressBytes(address)))).toEqual([0, 0]);
      expect(macs.map((mac) => wire.count(macBytes(mac)))).toEqual([0, 0, 0]);
    });

    it("leads containers out with the address of their own host", async () => {
      const { stand } = suite;
      for (const [at, { name }] of suite.containers.entries()) {
        const { lab } = stand.host(at + 1);

        expect(await lab.askEcho("tcp", stand.outside.address, name)).toBe(hostAddress(at + 1));
        expect(await lab.askEcho("udp", stand.outside.addressIpv6, name)).toBe(hostAddress(at + 1, 6));
      }
    });

    it("leads strangers to the port that each host publishes, and to its own container", async () => {
      const { stand } = suite;
      const addresses = [4, 6].flatMap((family) => [1, 2, 3].map((n) => hostAddress(n, family === 4 ? 4 : 6)));
      const questions = addresses.map((address) => ({ protocol: "tcp", address, port: 8080 }) as const);

      const answers = await ask(stand.outside, questions);

      expect(answers.map(({ server }) => server)).toEqual(["one", "two", "three", "one", "two", "three"]);
    });
  });
}
