import { describe, expect, it } from "vitest";
import { openHost, openLinks, openSubnet, ownerOf } from "../../../../src/cli/doctor/firewall-owner.ts";

const PLACES = {
  "firewalld's table": [{ table: "firewalld", chain: "filter_FWD_public" }, "firewalld"],
  "ufw's chains": [{ table: "filter", chain: "ufw-user-forward" }, "ufw"],
  "ufw's chains for IPv6": [{ table: "filter", chain: "ufw6-reject-forward" }, "ufw"],
  "what stands beside them": [{ table: "filter", chain: "DOCKER-USER" }, undefined],
} as const;

describe("the firewalls of the host", () => {
  it.each(Object.entries(PLACES))("are known by %s", (_what, [place, owner]) => {
    expect(ownerOf(place)).toBe(owner);
  });

  it("are told in their own words to let a network's links through", () => {
    const zone = "firewall-cmd --permanent --zone=trusted --add-interface=";
    expect(openLinks("firewalld", ["tsn-+", "br lan"], [])).toBe(
      `${zone}tsn-+ && ${zone}'br lan' && firewall-cmd --reload`,
    );
    expect(openLinks("ufw", ["tsn-+"], [{ table: "filter", chain: "ufw-reject-forward" }])).toBe(
      "ufw route allow in on tsn-+ && ufw route allow out on tsn-+",
    );
  });

  it("that have a rule of the operator's against it get theirs in front of that", () => {
    expect(openLinks("ufw", ["br0"], [{ table: "filter", chain: "ufw6-user-forward" }])).toBe(
      "ufw route insert 1 allow in on br0 && ufw route insert 1 allow out on br0",
    );
  });

  it("are told to let containers reach the host", () => {
    expect(openHost("ufw", ["tsn-+", "tsg+"])).toBe("ufw allow in on tsn-+ && ufw allow in on tsg+");
    expect(openHost("firewalld", ["tsn-+"])).toContain("--zone=trusted --add-interface=tsn-+");
  });

  it("are told to let the world reach a routed network", () => {
    expect(openSubnet("ufw", "10.1.0.0/24")).toBe("ufw route allow to 10.1.0.0/24");
    expect(openSubnet("firewalld", "fd00::/64")).toContain(
      "--add-rich-rule='rule family=ipv6 destination address=fd00::/64 accept'",
    );
  });
});
