import { describe, expect, it } from "vitest";
import { ls } from "../../../src/cli/ls.ts";
import { TsnetError } from "../../../src/errors.ts";
import { networkId } from "../../support/cnm-builder.ts";
import { deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";

const SCENE = {
  networks: [
    networkStatus(1, { endpoints: [endpointStatus(1), endpointStatus(2)] }),
    networkStatus(2, { backend: "ovs", mode: "l2", switch: "sw0", vlan: 100, trunk: [20, 21], state: "creating" }),
    networkStatus(3, { isInternal: true, subnets: ["10.1.3.0/24", "fd00::/64"] }),
  ],
  docker: dockerWith({ front: 1, floor: 2, inner: 3 }, { "web-10": [1], "web-9": [2] }),
} as const;

describe("tsnet ls", () => {
  it("has a line for each network: mode, switch, VLANs, subnets, and who is on it", async () => {
    const desk = deskIn(SCENE);

    await ls(desk, {});

    expect(desk.out.text).toBe(
      [
        "NETWORK        MODE           SWITCH  VLAN            SUBNETS      CONTAINERS",
        "floor          l2             sw0     100, trunk      10.1.2.0/24",
        "(creating)                            20-21",
        "front          nat            tsn-1                   10.1.1.0/24  web-9, web-10",
        "inner          nat, internal  tsn-3                   10.1.3.0/24",
        "                                                      fd00::/64",
        "",
      ].join("\n"),
    );
  });

  it("prints as JSON what the daemon says, with names", async () => {
    const desk = deskIn(SCENE);

    await ls(desk, { json: true });

    expect(JSON.parse(desk.out.text)).toMatchObject([
      { name: "floor", id: networkId(2), vlan: 100, trunk: [20, 21], endpoints: [] },
      { name: "front", endpoints: [{ container: { name: "web-9" } }, { container: { name: "web-10" } }] },
      { name: "inner", isInternal: true },
    ]);
  });

  it("says how to make a network where there is none, and prints an empty list as JSON", async () => {
    const [desk, other] = [deskIn({}), deskIn({})];

    await ls(desk, {});
    await ls(other, { json: true });

    expect(desk.out.text).toBe("tsnet has no network; `docker network create -d tsnet NAME` makes one\n");
    expect(other.out.text).toBe("[]\n");
  });

  it("notes what is damaged, that the list is cut, and that Docker does not answer", async () => {
    const desk = deskIn({ damage: ["the record of x is damaged"], isComplete: false, docker: { fault: "no Docker" } });

    await ls(desk, { json: true });

    expect(desk.notes.text).toBe(
      "tsnet: no Docker\ntsnet: the record of x is damaged\ntsnet: there is more than fits one answer: this is not all\n",
    );
  });

  it("fails when the daemon does not answer", async () => {
    const read = async () => Promise.reject(new TsnetError("unavailable", "no tsnet answers"));
    const desk = { ...deskIn({}), daemon: { ...deskIn({}).daemon, read } };

    await expect(ls(desk, {})).rejects.toThrow("no tsnet answers");
  });
});
