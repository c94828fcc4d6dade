import { describeDatapath } from "../../contract/datapath.ts";
import type { DatapathHost } from "../../contract/datapath/host.ts";
import { FakeDatapath } from "../../support/fake-datapath.ts";

async function fakeHost(): Promise<DatapathHost> {
  const datapath = new FakeDatapath();
  const linkOf = (name: string) => {
    const link = datapath.links.get(name);
    if (link === undefined) throw new Error(`no link ${name}`);
    return link;
  };
  return {
    backend: "bridge",
    datapath,
    see: async () =>
      new Map(
        [...datapath.links].map(([name, { kind, identity, isUp, mac, mtu, switchName, addresses }]) => [
          name,
          {
            identity,
            isSwitch: kind === "switch",
            isUp: isUp === true,
            ...(mac !== undefined && { mac }),
            ...(mtu !== undefined && { mtu }),
            ...(switchName !== undefined && { switchName }),
            addresses: [...addresses].sort(),
          },
        ]),
      ),
    plantSwitch: async (name, addresses = []) =>
      datapath.plant(name, { kind: "switch", addresses: new Set(addresses) }),
    plantLink: async (name) => datapath.plant(name, { kind: "other" }),
    unmark: async (name) => void (linkOf(name).mark = "half"),
    deleteLink: async (name) => datapath.unplug(name),
    takeAddress: async (name, address) => void linkOf(name).addresses.delete(address),
    setDown: async (name) => void (linkOf(name).isUp = false),
    release: async (name) => void delete linkOf(name).switchName,
  };
}

describeDatapath("the fake of the tests", fakeHost);
