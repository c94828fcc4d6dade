import { describe, expect, it, vi } from "vitest";
import { NftTool } from "../../../src/host/nft-tool.ts";
import { RULE_COMMENT, forwardRuleCommands, listEngineBridges } from "../../../src/nat/foreign-chains.ts";

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

describe("the rule in FORWARD", () => {
  const FORWARD = { chain: { family: "ip", table: "filter", name: "FORWARD" } };
  const ours = (handle: number) => ({ rule: { handle, comment: RULE_COMMENT, expr: [{ accept: null }] } });
  const place = { family: "ip", table: "filter", chain: "FORWARD" };

  const commandsFor = async (...rules: object[]) => {
    const nft = new NftTool();
    vi.spyOn(nft, "listChain").mockResolvedValue(rules as (typeof DROP)[]); // as nft prints them
    return await forwardRuleCommands(nft, [FORWARD], true);
  };

  it("is left alone where it is the last one", async () => {
    expect(await commandsFor(DROP, ours(8))).toEqual([]);
  });

  it("is moved to the end when somebody added a rule behind it, which it would hide", async () => {
    const [add, remove, ...more] = await commandsFor(ours(5), DROP);

    expect(add).toMatchObject({ add: { rule: { ...place, comment: RULE_COMMENT } } });
    expect([remove, ...more]).toEqual([{ delete: { rule: { ...place, handle: 5 } } }]);
  });

  it("stays once where it was there twice, the last one", async () => {
    expect(await commandsFor(ours(5), DROP, ours(8))).toEqual([{ delete: { rule: { ...place, handle: 5 } } }]);
  });
});
