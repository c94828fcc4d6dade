import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { textAttribute } from "../../../src/host/netlink.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "../../../src/host/netlink-socket.ts";
import { linkHeader, parseLink } from "../../../src/host/rtnetlink-link.ts";
import { NetNamespace } from "../../support/namespace.ts";

const RTM_GETLINK = 18;
const IFLA_IFNAME = 3;

const byName = (name: string) => ({ type: RTM_GETLINK, parts: [linkHeader(0), textAttribute(IFLA_IFNAME, name)] });
const descriptors = () => readdirSync("/proc/self/fd").length;

describe("NetlinkSocket", () => {
  it("gives each of many concurrent requests the answer to its own, refusals included", async () => {
    await using ns = await NetNamespace.create();
    await ns.exec(["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"]);
    using socket = ns.enter(() => NetlinkSocket.open(NETLINK_ROUTE));
    const names = Array.from({ length: 300 }, (_, i) => ["va", "vb", "lo", "absent"][i % 4] ?? "");

    const answers = await Promise.allSettled(names.map((name) => socket.request(`look up ${name}`, byName(name))));

    const seen = answers.map((answer) => {
      if (answer.status === "rejected") return String(answer.reason);
      return answer.value.map(({ payload }) => parseLink(payload).name).join();
    });
    const refused = "TsnetError: look up absent: No such device (ENODEV)";
    expect(seen).toEqual(names.map((name) => (name === "absent" ? refused : name)));
  });

  it("answers dumps and requests that are mixed", async () => {
    await using ns = await NetNamespace.create();
    using socket = ns.enter(() => NetlinkSocket.open(NETLINK_ROUTE));

    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        i % 2 === 0
          ? socket.request("look up lo", byName("lo"))
          : socket.dump("list links", { type: RTM_GETLINK, parts: [linkHeader(0)] }),
      ),
    );

    const names = answers.map((messages) => messages.map(({ payload }) => parseLink(payload).name).join());
    expect(names).toEqual(names.map(() => "lo"));
  });

  it("refuses a malformed request with the operation's name and the kernel's own words", async () => {
    await using ns = await NetNamespace.create();
    using socket = ns.enter(() => NetlinkSocket.open(NETLINK_ROUTE));
    const tooLong = byName("x".repeat(16));

    const request = socket.request("look up a long name", tooLong);

    await expect(request).rejects.toThrow("look up a long name: Attribute failed policy validation (ERANGE)");
  });

  it("answers what was asked before close and refuses what comes after", async () => {
    await using ns = await NetNamespace.create();
    const socket = ns.enter(() => NetlinkSocket.open(NETLINK_ROUTE));
    const before = socket.request("look up lo", byName("lo"));

    void socket.close();
    const after = socket.request("look up lo", byName("lo"));

    await expect(after).rejects.toMatchObject({ code: "unavailable" });
    expect((await before).map(({ payload }) => parseLink(payload).name)).toEqual(["lo"]);
  });

  it("leaves no descriptor open", async () => {
    await using ns = await NetNamespace.create();
    const before = descriptors();

    for (let i = 0; i < 100; i++) {
      const socket = ns.enter(() => NetlinkSocket.open(NETLINK_ROUTE));
      const request = socket.request("look up lo", byName("lo"));
      void socket.close();
      await request;
    }

    expect(descriptors()).toBe(before);
  });
});
