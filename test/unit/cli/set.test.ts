import { describe, expect, it } from "vitest";
import { Console } from "../../../src/cli/console.ts";
import type { DockerView } from "../../../src/cli/docker.ts";
import type { HostTools } from "../../../src/cli/host-tools.ts";
import { parsePairs } from "../../../src/cli/pairs.ts";
import { plan, readPlan } from "../../../src/cli/plan.ts";
import { type SetOptions, set } from "../../../src/cli/set.ts";
import type { Tools } from "../../../src/cli/tools.ts";
import type { SetAnswer } from "../../../src/cnm/change-requests.ts";
import { statusOf } from "../../../src/cnm/status.ts";
import { Registry } from "../../../src/cnm/registry.ts";
import { TsnetError } from "../../../src/errors.ts";
import { endpoint, endpointId, network, networkId } from "../../support/cnm-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const VLAN: SetAnswer = { changes: [{ key: "vlan", from: "100", to: "200" }], inside: [] };

const DOCKER: DockerView = {
  networks: [1, 2].map((n) => {
    return { id: networkId(n), name: n === 1 ? "lab" : "web", ipamDriver: "tsnet", subnets: [] };
  }),
  places: [
    [1, 1, "one"],
    [2, 2, "web"],
    [3, 1, "both"],
    [4, 2, "both"],
  ].map(([n, on, name]) => {
    const container = { id: `${name}`.padEnd(64, "0"), name: `${name}` };
    return { networkId: networkId(Number(on)), endpointId: endpointId(Number(n)), container, addresses: [] };
  }),
};

/** The command on two networks, lab and web, with the containers one, web, and both on both. */
class Desk {
  out = "";
  notes = "";
  readonly calls: unknown[][] = [];
  answer: (verb: string) => unknown = () => VLAN;
  /** Of what runs inside of containers. */
  fails: (line: string) => boolean = () => false;

  async tools(): Promise<Tools> {
    const registry = new Registry(new MemoryStore());
    for (const n of [1, 2]) await registry.putNetwork(network(n), "ready");
    for (const [n, on] of [
      [1, 1],
      [2, 2],
      [3, 1],
      [4, 2],
    ] as const)
      await registry.putEndpoint({ endpoint: endpoint(n, on), state: "joined" });
    const status = { version: "0", ...statusOf(registry) };
    const run = async (...words: string[]) => {
      if (this.fails(words.join(" "))) throw new TsnetError("host", "ip link set: exit code 2");
      return [{ ifname: "eth0", address: "02:42:0a:01:01:02", mtu: 1500, linkinfo: { info_kind: "veth" } }];
    };
    const inside = { text: run, json: run } as unknown as HostTools; // what of it is used
    const daemon = {
      read: async () => status,
      call: async (verb: string, message: object) => {
        this.calls.push([verb, message]);
        const answer = this.answer(verb);
        if (answer instanceof Error) throw answer;
        return answer;
      },
    } as unknown as Tools["daemon"]; // by verb
    return {
      console: new Console(
        { write: (text) => void (this.out += text) },
        { write: (text) => void (this.notes += text) },
        {},
      ),
      daemon,
      readDocker: async () => DOCKER,
      findContainer: async () => {
        throw new Error("not asked");
      },
      findEngine: async () => {
        throw new Error("not asked");
      },
      host: { inside: () => inside } as unknown as HostTools, // likewise
    };
  }
}

function setOn(tools: Tools, name: string, words: readonly string[], options: SetOptions): Promise<void> {
  return set(tools, name, parsePairs(words), options);
}

async function refusal(task: Promise<void>): Promise<string> {
  return task.then(
    () => "done",
    (failure: unknown) => (failure instanceof Error ? failure.message : "?"),
  );
}

describe("tsnet set", () => {
  it("says what it changed, a line each", async () => {
    const desk = new Desk();
    desk.answer = () => ({ changes: [...VLAN.changes, { key: "icc", from: "true", to: "false" }], inside: [] });

    await setOn(await desk.tools(), "lab", ["vlan=200", "icc=false"], {});

    expect(desk.out).toBe("network lab: vlan 100 -> 200\nnetwork lab: icc true -> false\n");
    expect(desk.calls).toEqual([
      ["Operator.SetNetwork", { NetworkID: networkId(1), Options: { vlan: "200", icc: "false" } }],
    ]);
  });

  it("says that nothing changes", async () => {
    const desk = new Desk();
    desk.answer = () => ({ changes: [], inside: [] });

    await setOn(await desk.tools(), "one", ["mtu=1500"], {});

    expect(desk.out).toBe("container one: nothing changes, it is so already\n");
  });

  it("prints JSON with --json", async () => {
    const desk = new Desk();

    await setOn(await desk.tools(), "lab", ["vlan=200"], { json: true });

    expect(JSON.parse(desk.out)).toEqual({ network: "lab", changes: VLAN.changes });
  });

  it("asks for a container's place on its one network", async () => {
    const desk = new Desk();

    await setOn(await desk.tools(), "one", ["vlan=200"], {});

    const message = { NetworkID: networkId(1), EndpointID: endpointId(1), Options: { vlan: "200" } };
    expect(desk.calls).toEqual([["Operator.SetEndpoint", message]]);
  });

  it("asks which network is meant of a container on several, and takes --network", async () => {
    const desk = new Desk();
    const tools = await desk.tools();

    expect(await refusal(setOn(tools, "both", ["vlan=200"], {}))).toBe(
      "container both: it is on several networks; permitted: --network with one of lab, web",
    );
    await setOn(tools, "both", ["vlan=200"], { network: "web" });
    expect(desk.calls).toEqual([
      ["Operator.SetEndpoint", { NetworkID: networkId(2), EndpointID: endpointId(4), Options: { vlan: "200" } }],
    ]);
    expect(await refusal(setOn(tools, "one", ["vlan=200"], { network: "web" }))).toContain("it is not on web");
  });

  it("asks which is meant of a name that a network and a container have, and takes --type", async () => {
    const desk = new Desk();
    const tools = await desk.tools();

    expect(await refusal(setOn(tools, "web", ["vlan=200"], {}))).toContain("--type network or --type container");
    await setOn(tools, "web", ["vlan=200"], { type: "container" });
    await setOn(tools, "web", ["vlan=200"], { type: "network" });
    expect(desk.calls.map(([verb]) => verb)).toEqual(["Operator.SetEndpoint", "Operator.SetNetwork"]);
  });

  it("refuses a name that nobody has without asking the daemon", async () => {
    const desk = new Desk();

    expect(await refusal(setOn(await desk.tools(), "nobody", ["vlan=1"], {}))).toBe(
      'tsnet has no network and no running container "nobody"',
    );
    expect(desk.calls).toEqual([]);
  });

  it.each([
    [["vlan"], '"vlan" is no KEY=VALUE'],
    [["=1"], '"=1" is no KEY=VALUE'],
    [["vlan=1", "vlan=2"], "vlan is named twice"],
  ])("takes %o for a wrong command line", (words, why) => {
    expect(() => parsePairs(words)).toThrow(why);
  });

  it("says the daemon's ids by their names", async () => {
    const desk = new Desk();
    const [on, of] = [networkId(2).slice(0, 12), endpointId(1).slice(0, 12)];
    desk.answer = () =>
      new TsnetError("unavailable", `network ${on} uses it; endpoint ${of}: VLAN 20; endpoint 000000000000`);

    expect(await refusal(setOn(await desk.tools(), "lab", ["vlan=200"], {}))).toBe(
      "network web uses it; container one: VLAN 20; endpoint 000000000000",
    );
  });

  it.each([
    ["says that Docker keeps the address that it gave", {}, true],
    ["says nothing of Docker about an attachment", { owner: { kind: "netns", id: "/run/netns/1", name: "1" } }, false],
  ])("%s", async (_, more, isSaid) => {
    const desk = new Desk();
    const addresses = [{ from: "10.1.1.2/24", to: "10.1.1.9/24" }];
    const change = { endpointId: endpointId(1), sandboxKey: "/run/1", mac: "02:42:0a:01:01:02", addresses, ...more };
    desk.answer = () => ({ changes: [{ key: "ip", from: "10.1.1.2", to: "10.1.1.9" }], inside: [change] });

    await set(await desk.tools(), "one", parsePairs(["ip=10.1.1.9"]), {});

    expect(desk.notes.includes("Docker goes on to show the address that it gave")).toBe(isSaid);
  });

  const inside = [
    { endpointId: endpointId(1), sandboxKey: "/run/1", mac: "02:42:0a:01:01:02", mtu: 1400, addresses: [] },
  ];
  const mtu = [{ key: "mtu", from: "1500", to: "1400" }];
  const isMtu = (line: string) => line.includes("mtu");

  it("has a container's change taken back that fails inside", async () => {
    const desk = new Desk();
    desk.fails = isMtu;
    desk.answer = () => ({ changes: mtu, inside });

    const message = await refusal(setOn(await desk.tools(), "one", ["mtu=1400"], {}));

    expect(message).toBe("nothing was changed: inside one: ip link set: exit code 2");
    expect(desk.calls.map(([, asked]) => Reflect.get(asked as object, "Options") as unknown)).toEqual([
      { mtu: "1400" },
      { mtu: "1500" },
    ]);
    expect(desk.out).toBe("");
  });

  it("does not say that nothing was changed when the daemon refuses to take it back", async () => {
    const desk = new Desk();
    desk.fails = isMtu;
    const answers = [{ changes: mtu, inside }, new TsnetError("unavailable", "tsnet is not there")];
    desk.answer = () => answers.shift();

    const message = await refusal(setOn(await desk.tools(), "one", ["mtu=1400"], {}));

    expect(message).toBe("container one is changed in part: inside one: ip link set: exit code 2; tsnet is not there");
  });

  it("does not say that nothing was changed when what was done inside cannot be taken back", async () => {
    const desk = new Desk();
    desk.fails = (line) => line.includes("mtu 1500") || line.includes("address delete");
    const both = inside.map((change) => ({ ...change, addresses: [{ from: "10.1.1.2/24", to: "10.1.1.9/24" }] }));
    desk.answer = () => ({ changes: mtu, inside: both });

    const message = await refusal(setOn(await desk.tools(), "one", ["mtu=1400"], {}));

    expect(message).toMatch(/^container one is changed in part: inside one: .*; undo: ip link set: exit code 2$/);
    expect(desk.calls).toHaveLength(2);
  });

  it("names the containers in which a network's change failed, and goes on with the others", async () => {
    const desk = new Desk();
    desk.fails = isMtu;
    desk.answer = () => ({ changes: mtu, inside: [...inside, { ...inside[0], endpointId: endpointId(3) }] });

    const message = await refusal(setOn(await desk.tools(), "lab", ["mtu=1400"], {}));

    expect(message).toMatch(/^network lab was changed, but not all of its containers: inside one: .*; inside both: /);
    expect(desk.calls).toHaveLength(1);
  });
});

describe("tsnet set where a namespace is gone", () => {
  it("changes the others and the record, and says so in a note", async () => {
    const desk = new Desk();
    const place = { sandboxKey: "/run/1", mac: "02:42:0a:01:01:02", mtu: 1400, addresses: [] };
    const gone = { kind: "pid", id: "4194999", name: "pid 4194999" } as const;
    desk.answer = () => ({
      changes: [{ key: "mtu", from: "1500", to: "1400" }],
      inside: [
        { endpointId: endpointId(1), ...place, owner: gone },
        { endpointId: endpointId(3), ...place },
      ],
    });

    await setOn(await desk.tools(), "lab", ["mtu=1400"], {});

    expect(desk.out).toBe("network lab: mtu 1500 -> 1400\n");
    expect(desk.notes).toBe("tsnet: one is gone, and only its record was changed: `tsnet detach` takes it off\n");
  });
});

describe("tsnet plan", () => {
  it("numbers the steps", async () => {
    const desk = new Desk();
    desk.answer = () => ({ steps: ["make bridge tsn-…", "forward"] });

    await plan(await desk.tools(), readPlan({}), {});

    expect(desk.out).toBe(" 1. make bridge tsn-…\n 2. forward\n");
  });

  it("asks as `docker network create` would be asked", async () => {
    const desk = new Desk();
    desk.answer = () => ({ steps: [] });

    const message = readPlan({
      opt: ["vlan=100", "routes=10.0.0.0/8 via 10.1.2.9"],
      subnet: ["10.1.2.0/24", "fd00::/64"],
      gateway: ["fd00::1"],
      internal: true,
      ipv6: true,
    });
    await plan(await desk.tools(), message, { json: true });

    expect(desk.calls).toEqual([
      [
        "Operator.Plan",
        {
          Options: { vlan: "100", routes: "10.0.0.0/8 via 10.1.2.9" },
          Internal: true,
          IPv6: true,
          Subnets: [{ Pool: "10.1.2.0/24" }, { Pool: "fd00::/64", Gateway: "fd00::1/64" }],
        },
      ],
    ]);
    expect(JSON.parse(desk.out)).toEqual({ steps: [] });
  });

  it("takes a gateway that is in no subnet for a wrong command line", () => {
    expect(() => readPlan({ subnet: ["10.1.2.0/24"], gateway: ["10.9.9.1"] })).toThrow(
      "gateway 10.9.9.1 is in no --subnet",
    );
  });
});
