// The constant part of our two tables: sets, chains and rules, without any name from outside. What varies are elements
// (`elements.ts`); however many networks and endpoints there are, the rules stay the same. `nft -f` makes it as a whole.
// Protocols are numbers here: names would need /etc/protocols where `nft` runs.
import { createHash } from "node:crypto";
import { BRIDGE } from "./table-bridge.ts";
import { INET } from "./table-inet.ts";

/** Our tables, as commands in JSON name them. */
export const TABLES = [
  { family: "inet", table: "tsnet" },
  { family: "bridge", table: "tsnet" },
] as const;

/** An empty set, in both tables, whose name says which skeleton they were made from. */
export const SKELETON_SET = `skeleton_${createHash("sha256")
  .update(INET + BRIDGE)
  .digest("hex")
  .slice(0, 12)}`;

/** Single commands instead of a block `table {}`, which would ask for a table without flags. Each makes one thing. */
function commandsFor(family: "inet" | "bridge", text: string): readonly string[] {
  const objects = [`set ${family} tsnet ${SKELETON_SET} { type mark; }`];
  const rules: string[] = [];
  let chain = "";
  for (const line of text.split("\n").map((indented) => indented.trim())) {
    const [, kind = "", name = "", rest = ""] = /^(set|map|chain) (\w+) \{(.*)$/.exec(line) ?? [];
    if (kind !== "") objects.push(`${kind} ${family} tsnet ${name}${rest === "" ? "" : ` {${rest}`}`);
    if (kind === "chain") chain = name;
    else if (line.startsWith("type ")) objects.push(`${objects.pop()} { ${line} }`);
    else if (kind === "" && line !== "" && line !== "}") rules.push(`rule ${family} tsnet ${chain} ${line}`);
  }
  return [...objects, ...rules].map((object) => `add ${object}\n`);
}

const COMMANDS = { inet: commandsFor("inet", INET), bridge: commandsFor("bridge", BRIDGE) } as const;

/** How many sets, maps, chains and rules each table has, in the order of `TABLES`. */
export const SKELETON_SIZES = TABLES.map(({ family }) => COMMANDS[family].length);

/** Fills both tables, which must be there and empty. To be put behind what empties them, in one transaction. */
export const SKELETON = TABLES.flatMap(({ family }) => COMMANDS[family]).join("");
