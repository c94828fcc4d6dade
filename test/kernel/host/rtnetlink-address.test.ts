import { describe, expect, it } from "vitest";
import { formatAddress, parseAddressWithLength } from "../../../src/cidr.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";

interface IpAddress {
  family: string;
  local: string;
  prefixlen: number;
  broadcast?: string;
  scope: string;
  nodad?: boolean;
  tentative?: boolean;
}

async function seen(ns: NetNamespace, name: string): Promise<IpAddress[]> {
  const links = await ns.json<{ addr_info?: IpAddress[] }[]>(["ip", "-json", "addr", "show", "dev", name]);
  return links.flatMap(({ addr_info = [] }) => addr_info).filter(({ local }) => local !== undefined);
}

async function addBridge(rtnetlink: Rtnetlink): Promise<number> {
  const index = await rtnetlink.addBridge({ name: "tsbr0", mac: "02:11:22:33:44:55", mtu: 1450, group: 71 });
  await rtnetlink.setAddressGeneration(index, "none");
  await rtnetlink.setLink(index, { isUp: true });
  return index;
}

describe("addAddress", () => {
  it.each([
    ["10.1.2.3/24", "10.1.2.255"],
    ["10.1.2.3/30", "10.1.2.3"],
    ["10.1.2.3/0", "255.255.255.255"],
  ])("gives %s the broadcast address %s", async (text, broadcast) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);

    await rtnetlink.addAddress(index, parseAddressWithLength(text));

    const [local, prefixlen] = text.split("/");
    const expected = { family: "inet", local, prefixlen: Number(prefixlen), broadcast, scope: "global" };
    expect(await seen(ns, "tsbr0")).toMatchObject([expected]);
  });

  it.each(["10.1.2.3/31", "10.1.2.3/32"])("gives %s no broadcast address", async (text) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);

    await rtnetlink.addAddress(index, parseAddressWithLength(text));

    const [address] = await seen(ns, "tsbr0");
    expect(address?.local).toBe("10.1.2.3");
    expect(address).not.toHaveProperty("broadcast");
  });

  it("adds an IPv6 address that is usable at once, without duplicate address detection", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);

    await rtnetlink.addAddress(index, parseAddressWithLength("fd00:1::1/64"));

    const [address] = await seen(ns, "tsbr0");
    expect(address).toMatchObject({ family: "inet6", local: "fd00:1::1", prefixlen: 64, nodad: true });
    expect(address).not.toHaveProperty("tentative");
  });

  it.each(["10.1.2.3/24", "fd00:1::1/64"])("succeeds when the link has %s already", async (text) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);
    await ns.exec(["ip", "addr", "add", text, "dev", "tsbr0", "nodad"]);

    await rtnetlink.addAddress(index, parseAddressWithLength(text));

    expect(await seen(ns, "tsbr0")).toHaveLength(1);
  });

  it("refuses an IPv6 address that the link has with another prefix length", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);
    await rtnetlink.addAddress(index, parseAddressWithLength("fd00:1::1/64"));

    const failure = await rtnetlink.addAddress(index, parseAddressWithLength("fd00:1::1/80")).catch((e: unknown) => e);

    expect(String(failure)).toContain("add address fd00:1::1/80 to link tsbr0: ");
    expect(isErrno(failure, "EEXIST")).toBe(true);
  });
});

describe("deleteAddress", () => {
  it.each(["10.1.2.3/24", "fd00:1::1/64"])("takes %s away and leaves its neighbour", async (text) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);
    await rtnetlink.addAddress(index, parseAddressWithLength(text));
    await rtnetlink.addAddress(index, parseAddressWithLength("10.9.9.9/16"));

    await rtnetlink.deleteAddress(index, parseAddressWithLength(text));

    expect((await seen(ns, "tsbr0")).map(({ local }) => local)).toEqual(["10.9.9.9"]);
  });

  it.each(["10.1.2.3/24", "fd00:1::1/64"])("succeeds when %s or the link is absent", async (text) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);

    await expect(rtnetlink.deleteAddress(index, parseAddressWithLength(text))).resolves.toBeUndefined();
    await expect(rtnetlink.deleteAddress(4711, parseAddressWithLength(text))).resolves.toBeUndefined();
  });
});

describe("listAddresses", () => {
  it("lists what ip lists, of one link or of all", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addBridge(rtnetlink);
    await ns.exec(["ip", "addr", "add", "10.1.2.3/24", "dev", "tsbr0"]);
    await ns.exec(["ip", "addr", "add", "10.7.0.1", "peer", "10.7.0.2/32", "dev", "tsbr0"]);
    await ns.exec(["ip", "addr", "add", "fe80::1/64", "dev", "tsbr0", "nodad"]);
    const asText = (addresses: Awaited<ReturnType<Rtnetlink["listAddresses"]>>) =>
      addresses.map((a) => `${a.linkIndex} ${formatAddress(a.address)}/${a.prefixLength} ${a.scope}`);

    const ofBridge = asText(await rtnetlink.listAddresses(index));
    const all = asText(await rtnetlink.listAddresses());

    expect(ofBridge.sort()).toEqual([
      `${index} 10.1.2.3/24 global`,
      `${index} 10.7.0.1/32 global`,
      `${index} fe80::1/64 link`,
    ]);
    expect(all.sort()).toEqual(["1 127.0.0.1/8 host", "1 ::1/128 host", ...ofBridge].sort());
  });

  it("lists nothing for a link that is absent", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.listAddresses(4711)).toEqual([]);
  });
});
