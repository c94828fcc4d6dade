// What is asked for in words: options that contradict a tunnel are refused with the way out, and one compose file serves all hosts.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TEST_IMAGE } from "../../support/image.ts";
import { TestContainer } from "../../support/system-container.ts";
import type { HostsSuite } from "./suite.ts";
import { reaches } from "./probes.ts";

const REFUSALS = [
  [["com.docker.network.driver.mtu=1500"], /option mtu: 1500 is more than the 1450 .* permitted: up to 1450$/m],
  [["icc=false"], /option icc: .*; permitted without option tunnel$/m],
  [["parent=net0"], /options tunnel and parent: .*; permitted: one of them$/m],
  [["stp=true"], /option stp: .*; permitted without option tunnel(;|$)/m],
  [["vni=16777216"], /option vni: 16777216 .*; permitted: 1-16777215$/m],
  [["local=192.0.2.99"], /option local: 192\.0\.2\.99 is no address of this host$/m],
] as const;

export function describeRequests(suite: HostsSuite): void {
  describe("docker network create with a tunnel", () => {
    it.each(REFUSALS)("and %s is refused, says what is permitted, and changes nothing", async (more, words) => {
      const { stand } = suite;
      const host = stand.host(1);
      const before = await host.census();
      const options = [...host.backendOptions, ...stand.tunnelOptions({ vni: 79 }), ...more.flatMap((o) => ["-o", o])];
      const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...options, "refused"];

      expect(await host.refusalOf(...create)).toMatch(words);
      expect(await host.changesSince(before, ["links", "addresses", "routes", "nft", "records"])).toEqual([]);
    });
  });

  describe("a compose file", () => {
    it("serves two hosts unchanged: only the range of addresses is told by the environment", async () => {
      const { stand } = suite;
      const [one, two] = [await composeOn(suite, 1), await composeOn(suite, 2)];

      expect(await reaches(stand, one.web, two.web)).toBe(true);
      expect([await one.web.address(), await two.web.address()].map((address) => address.split(".")[3])).toEqual([
        expect.stringMatching(/^(6[4-9]|[7-9]\d|1[01]\d|12[0-7])$/),
        expect.stringMatching(/^(12[89]|1[3-8]\d|19[01])$/),
      ]);
      await Promise.all([one.down(), two.down()]);
    });
  });
}

function composeFile({ backend, stand }: HostsSuite): string {
  return `
networks:
  far:
    driver: tsnet
    enable_ipv6: true
    driver_opts: { backend: ${backend}, tunnel: vxlan, vni: "78", peers: "${stand.peers()}" }
    ipam:
      driver: tsnet
      config:
        - { subnet: 10.8.0.0/24, ip_range: "\${RANGE}", gateway: 10.8.0.1 }
        - { subnet: "fd08::/64", ip_range: "\${RANGE6}", gateway: "fd08::1" }
services:
  web: { image: "${TEST_IMAGE}", container_name: web, command: serve web 80, networks: [far] }
`;
}

async function composeOn(suite: HostsSuite, n: number) {
  const { lab } = suite.stand.host(n);
  const folder = join(lab.folder, "tunnel");
  await mkdir(folder);
  await writeFile(join(folder, "docker-compose.yml"), composeFile(suite));
  const env = { RANGE: `10.8.0.${64 * n}/26`, RANGE6: `fd08::${n}:0/112` };
  const compose = async (...args: string[]) => {
    const named = ["-f", join(folder, "docker-compose.yml"), ...args];
    await lab.exec([...lab.engine.compose, ...named], { env });
  };
  await compose("up", "-d");
  const web = new TestContainer(suite.stand.host(n), "web");
  await web.serves([80]);
  return { web, down: () => compose("down") };
}
