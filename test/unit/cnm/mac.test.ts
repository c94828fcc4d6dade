import { describe, expect, it } from "vitest";
import { deriveMac, hashedMac } from "../../../src/cnm/mac.ts";
import { endpointId } from "../../support/cnm-builder.ts";

const isLocalUnicast = (mac: string) => (Number.parseInt(mac.slice(0, 2), 16) & 3) === 2;

describe("deriveMac", () => {
  it("puts the IPv4 address into the MAC, as Docker's own bridge does", () => {
    expect(deriveMac({ address: "10.1.2.255", endpointId: endpointId() })).toBe("02:42:0a:01:02:ff");
  });

  it("prefers IPv4 where there are both", () => {
    const both = { address: "10.1.2.3", addressIpv6: "fd00::3", endpointId: endpointId() };

    expect(deriveMac(both)).toBe("02:42:0a:01:02:03");
  });

  it("is the same for the same IPv6 address, whatever the endpoint", () => {
    const [one, two] = [1, 2].map((n) => deriveMac({ addressIpv6: "fd00::3", endpointId: endpointId(n) }));

    expect(one).toBe(two);
    expect(one).not.toBe(deriveMac({ addressIpv6: "fd00::4", endpointId: endpointId(1) }));
  });

  it("differs from endpoint to endpoint where there is no address", () => {
    expect(deriveMac({ endpointId: endpointId(1) })).not.toBe(deriveMac({ endpointId: endpointId(2) }));
  });

  it("is always locally administered and unicast", () => {
    for (let n = 1; n <= 200; n++) {
      const mac = deriveMac({ endpointId: endpointId(n) });

      expect(mac).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
      expect(isLocalUnicast(mac)).toBe(true);
    }
  });
});

describe("hashedMac", () => {
  it("is the same for the same text and locally administered", () => {
    expect(hashedMac("a")).toBe(hashedMac("a"));
    expect(hashedMac("a")).not.toBe(hashedMac("b"));
    expect(isLocalUnicast(hashedMac("a"))).toBe(true);
  });
});
