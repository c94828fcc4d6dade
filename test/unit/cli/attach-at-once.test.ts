import { statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { AttachAnswer } from "../../../src/api/attachment-messages.ts";
import { attachOwner } from "../../../src/cli/attach.ts";
import { nameNetworks } from "../../../src/cli/catalog.ts";
import { HostTools } from "../../../src/cli/host-tools.ts";
import type { FoundOwner } from "../../../src/cli/namespace-owner.ts";
import type { Tools } from "../../../src/cli/tools.ts";
import { TsnetError } from "../../../src/errors.ts";
import { networkStatus } from "../../support/cli-desk.ts";
import { ENGINE, fakeTools } from "../../support/fake-tools.ts";

const LINK = "tsc0123456789ab";
const ANSWER: Omit<AttachAnswer, "WasAttached"> = {
  Link: LINK,
  HostLink: "tsv0123456789ab",
  Interface: "eth0",
  MacAddress: "02:42:0a:01:01:02",
  MTU: 1500,
  Addresses: ["10.1.1.2/24"],
  Gateways: [],
  Routes: [],
};

/** A host with a link that belongs into a namespace. Each command takes its time, so that others come in between. */
class HostWithLink extends HostTools {
  link = LINK;
  isInside = false;
  isGone = false;
  addresses: string[] = [];
  /** What happens to the namespace before a command. */
  before = () => {};

  override inside(): HostTools {
    return this;
  }

  override async json<Answer>(...[, ...args]: readonly string[]): Promise<Answer> {
    await setImmediate();
    return this.#show(args.join(" ")) as Answer; // the form that ip(8) prints
  }

  override async text(...command: readonly string[]): Promise<string> {
    await setImmediate();
    this.before();
    const words = command.join(" ");
    const [, device, action, value = ""] = / dev (\S+)(?: (netns|name) (\S*))?/.exec(words) ?? [];
    const isHere = action === "netns" ? !this.isInside : this.isInside && device === this.link;
    if (device !== undefined && (this.isGone || !isHere)) throw new TsnetError("host", `${words}: Cannot find device`);
    if (action === "netns") this.isInside = true;
    if (action === "name") this.link = value;
    if (words.includes("address replace")) this.addresses.push(words);
    return "";
  }

  #show(words: string): readonly object[] {
    if (words.includes("link show") && this.isGone) throw new TsnetError("host", "Device does not exist");
    if (words.includes("link show")) return [{ ifindex: 10, ...(this.isInside ? { link_index: 11 } : { link: LINK }) }];
    if (!words.includes("address show") || !this.isInside) return [];
    return [{ ifname: this.link, ifindex: 11, link_index: 10, flags: [], mtu: 1500, addr_info: [] }];
  }
}

/** One command of its own on that host. */
function commandOn(host: HostWithLink, calls: object[] = []): Tools {
  const daemon = {
    call: async (
      verb: string,
      { Again = false, Lost = false }: { readonly Again?: boolean; readonly Lost?: boolean },
    ) => {
      calls.push({ verb, ...(Again && { Again }), ...(Lost && { Lost }) });
      if (Lost) Object.assign(host, { isGone: false, isInside: false, link: LINK });
      return { ...ANSWER, WasAttached: calls.length > 1 };
    },
  } as unknown as Tools["daemon"]; // for the two verbs of attach
  return { ...fakeTools({}).tools, daemon, host };
}

/** A container with the namespace of this test's own process. */
function owner(): FoundOwner {
  const path = "/proc/self/ns/net";
  const { dev, ino } = statSync(path);
  const id = "4f1c".padEnd(64, "0");
  return { kind: "container", id, name: "web", engine: ENGINE, path, identity: id, namespace: `${dev} ${ino}` };
}

const [BLUE] = nameNetworks([networkStatus()], { networks: [], places: [] });

async function attach(tools: Tools, whom = owner()) {
  if (BLUE === undefined) throw new Error("no network");
  return await attachOwner(tools, whom, BLUE, {});
}

describe("attaching", () => {
  it("succeeds for both of two who do it at once, and neither takes it back", async () => {
    const [host, calls] = [new HostWithLink(), [] as object[]];

    const both = await Promise.all([attach(commandOn(host, calls)), attach(commandOn(host, calls))]);

    expect(both).toMatchObject([{ interface: "eth0" }, { interface: "eth0" }]);
    expect(host).toMatchObject({ isInside: true, link: "eth0" });
    expect(calls).toEqual([{ verb: "Operator.Attach" }, { verb: "Operator.Attach" }]);
  });

  it("has the link made anew that goes meanwhile, as with the namespace into which another one moved it", async () => {
    const [host, calls] = [new HostWithLink(), [] as object[]];
    host.before = () => {
      host.isGone = true;
      host.before = () => {};
    };

    await attach(commandOn(host, calls));

    expect(host).toMatchObject({ isInside: true, link: "eth0", isGone: false });
    expect(calls).toEqual([{ verb: "Operator.Attach" }, { verb: "Operator.Attach", Again: true, Lost: true }]);
  });

  it("ends with what is in the way when that stays", async () => {
    const [host, calls] = [new HostWithLink(), [] as object[]];
    host.before = () => {
      throw new TsnetError("host", "ip: exit code 2");
    };

    await expect(attach(commandOn(host, calls))).rejects.toThrow(/^ip: exit code 2$/);

    expect(calls).toEqual([{ verb: "Operator.Attach" }, { verb: "Operator.Detach" }]);
  });

  it("says of one whose namespace goes meanwhile that it has ended, and takes back what was made", async () => {
    const [host, calls] = [new HostWithLink(), [] as object[]];
    host.before = () => {
      throw new TsnetError("host", "nsenter: cannot open /proc/7/ns/net: No such file or directory");
    };

    const attempt = attach(commandOn(host, calls), { ...owner(), path: "/proc/0/ns/net" });

    await expect(attempt).rejects.toThrow(/^the network namespace of web, .*, is not there: it has ended just now/);
    expect(calls).toEqual([{ verb: "Operator.Attach" }, { verb: "Operator.Detach" }]);
  });
});
