import { describe, expect, it, vi } from "vitest";
import { NftTool } from "../../../src/host/nft-tool.ts";
import { listEngineBridges } from "../../../src/nat/foreign-chains.ts";

const CHAIN = { chain: { family: "ip", table: "filter", name: "DOCKER-ISOLATION-STAGE-2" } };
const DROP = {
  rule: {
    handle: 7,
    expr: [{ match: { op: "==", left: { meta: { key: "oifname" } }, right: "docker0" } }, { drop: null }],
  },
};
const GONE = new Error("No such file or directory");

describe("a chain of the engine", () => {
  it("that is made again while it is listed is listed again", async () => {
    const nft = new NftTool();
    vi.spyOn(nft, "listChain").mockRejectedValueOnce(GONE).mockResolvedValue([DROP]);
    vi.spyOn(nft, "listChains").mockResolvedValue([CHAIN]);

    expect(await listEngineBridges(nft, [CHAIN])).toEqual(["docker0"]);
  });

  it("that is gone when it is listed keeps nothing apart", async () => {
    const nft = new NftTool();
    vi.spyOn(nft, "listChain").mockRejectedValue(GONE);
    vi.spyOn(nft, "listChains").mockResolvedValue([]);

    expect(await listEngineBridges(nft, [CHAIN])).toEqual([]);
  });

  it("that is there and cannot be listed is a failure", async () => {
    const nft = new NftTool();
    vi.spyOn(nft, "listChain").mockRejectedValue(GONE);
    vi.spyOn(nft, "listChains").mockResolvedValue([CHAIN]);

    await expect(listEngineBridges(nft, [CHAIN])).rejects.toThrow(GONE);
  });
});
