// Rules in words much like those of nft(8), for people who look for them.
import type { Json } from "../rule-expression.ts";
import type { Chain, Rule } from "./ruleset.ts";

/** `chain forward of table inet tsnet`. */
export function sayChain({ family, table, name }: Pick<Chain, "family" | "table" | "name">): string {
  return `chain ${name} of table ${family} ${table}`;
}

/** `"ip saddr 10.1.2.3 drop" in chain DOCKER-USER of table ip filter`. */
export function sayRule({ expr, comment, spec, ...rule }: Rule): string {
  const parts = spec === undefined ? expr.map(sayPart).filter((part) => part !== "") : [spec];
  const why = comment === undefined ? "" : ` (${comment})`;
  return `"${parts.join(" ")}"${why} in ${sayChain({ ...rule, name: rule.chain })}`;
}

function sayPart(part: Json): string {
  const [[kind, content] = ["", undefined]] = Object.entries(part);
  const fields = (content ?? {}) as Json; // an object, or nothing
  switch (kind) {
    case "match": {
      const op = fields["op"] === "!=" ? "!= " : "";
      const left = sayValue(fields["left"]);
      return `${left} ${op}${sayValue(left.includes(" & ") ? hex(fields["right"]) : fields["right"])}`;
    }
    case "counter":
    case "log":
    case "limit":
      return "";
    case "xt":
      return `(${String(fields["name"])})`;
    case "jump":
    case "goto":
      return `${kind} ${String(fields["target"])}`;
    default:
      return kind;
  }
}

function sayValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(sayValue).join(",");
  if (typeof value !== "object" || value === null) return String(value);
  const [[kind, content] = ["", undefined]] = Object.entries(value);
  const fields = (content ?? {}) as Json; // an object or a list
  if (kind === "meta" || kind === "ct") return kind === "ct" ? `ct ${String(fields["key"])}` : String(fields["key"]);
  if (kind === "payload")
    return "protocol" in fields ? `${String(fields["protocol"])} ${String(fields["field"])}` : "@…";
  if (kind === "prefix") return `${String(fields["addr"])}/${String(fields["len"])}`;
  if (kind === "fib") return `fib ${[fields["flags"]].flat().join(" . ")} ${String(fields["result"])}`;
  const list = Array.isArray(content) ? content.map((each) => sayValue(kind === "&" ? hex(each) : each)) : [];
  if (kind === "concat") return list.join(" . ");
  if (kind === "set") return `{ ${list.join(", ")} }`;
  return list.join(kind === "range" ? "-" : ` ${kind} `);
}

/** Bits of a mark. */
function hex(value: unknown): unknown {
  return typeof value === "number" ? `0x${value.toString(16)}` : value;
}
