// The picture of the README: ratios as bars beside the line at which both sides take as long, with each goal, and the curves of
// what grows with the number of endpoints and networks. SVG by hand, with its own ground, for light and dark pages.
import { type Measured, type Pair, hasMet } from "./measure.ts";

const WIDTH = 880;
const EDGE = 24;
const BARS = { left: 330, right: 760, row: 26, thickness: 14 } as const;
/** A longer bar is cut off; its number says how long it is. */
const LONGEST = 2.5;
const CURVES = { height: 150, gap: 40, labelGap: 46 } as const;
const ROUND = 4;
const SCALE_TITLE = /^life, (\w+): ([\d,]+)$/;

/** Without variables, which not every program that shows SVG knows. */
const STYLE = `
  svg { font: 13px "Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif }
  .head { font-weight: bold } .end { text-anchor: end } .middle { text-anchor: middle }
  line { stroke-width: 1 } .goal, .curve { stroke-width: 2 } .limit { stroke-dasharray: 4 4 } .curve { fill: none }
  .plate { stroke-width: 4; paint-order: stroke }
  ${coloursOf({ ground: "#fcfcfb", ink: "#1f2328", soft: "#656d76", rule: "#d8dbdf", met: "#2a78d6", missed: "#d9730d" })}
  @media (prefers-color-scheme: dark) {
  ${coloursOf({ ground: "#1a1c20", ink: "#e6e8eb", soft: "#9aa2ac", rule: "#3a3f46", met: "#4a94ec", missed: "#e8893a" })}
  }
`;

function coloursOf(colour: Readonly<Record<"ground" | "ink" | "soft" | "rule" | "met" | "missed", string>>): string {
  const { ground, ink, soft, rule, met, missed } = colour;
  return [
    `.ground { fill: ${ground} } .plate { stroke: ${ground} } text { fill: ${ink} } .soft { fill: ${soft} } .met { fill: ${met} } .missed { fill: ${missed} }`,
    `line { stroke: ${rule} } .one, .limit { stroke: ${soft} } .goal { stroke: ${ink} } .curve { stroke: ${met} }`,
  ].join("\n  ");
}

/** The whole picture. @param results - by benchmark, as `npm run bench -- --json=FILE` writes them. */
export function draw(results: Readonly<Record<string, Measured>>): string {
  const bars = drawBars(
    Object.values(results).flatMap(({ pairs = [] }) => pairs),
    EDGE + 16,
  );
  const curves = drawCurves(results["scale"] ?? {}, bars.bottom + 44);
  const height = curves.bottom + EDGE;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>tsnet: how long it takes, by how long the other takes</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="8"/>`,
    ...bars.parts,
    ...curves.parts,
    "</svg>\n",
  ].join("\n");
}

/** Lines of SVG, and how far down they go. */
interface Drawn {
  readonly parts: readonly string[];
  readonly bottom: number;
}

/** Those with a goal: the others are parts of them, or for comparison. */
function drawBars(pairs: readonly Pair[], top: number): Drawn {
  const judged = pairs.flatMap((one) => (one.goal === undefined ? [] : [{ ...one, goal: one.goal }]));
  const first = top + 34;
  const bottom = first + judged.length * BARS.row;
  const rows = judged.flatMap(({ title, ratio, goal, sides }, at) => {
    const y = first + at * BARS.row;
    const middle = y + BARS.row / 2;
    const isMet = hasMet(ratio, goal);
    const limit = typeof goal === "number" ? goal : goal.least;
    const [, other = ""] = Object.keys(sides);
    return [
      text(BARS.left - 12, middle + 4, "end", title, ` <tspan class="soft">/ ${escape(other)}</tspan>`),
      bar(BARS.left, middle - BARS.thickness / 2, xOf(ratio) - BARS.left, isMet ? "met" : "missed"),
      line(xOf(limit), middle - 10, xOf(limit), middle + 10, "goal"),
      text(BARS.right + 12, middle + 4, isMet ? "" : "head", `${ratio.toFixed(2)}${isMet ? "" : " missed"}`),
    ];
  });
  const ticks = [0, 0.5, 1, 1.5, 2, LONGEST].map((value) =>
    text(xOf(value), bottom + 18, "soft middle", String(value)),
  );
  const grid = [0, 0.5, 1.5, 2].map((value) => line(xOf(value), first, xOf(value), bottom));
  const parts = [
    text(EDGE, top, "head", "tsnet's median by the median of the other"),
    text(EDGE, top + 20, "soft", "upright mark: the goal"),
    text(xOf(1), first - 6, "soft middle", "1.0: the same"),
    ...grid,
    ...rows,
    line(xOf(1), first, xOf(1), bottom, "one"),
    ...ticks,
  ];
  return { parts, bottom: bottom + 18 };
}

function xOf(ratio: number): number {
  return BARS.left + ((BARS.right - BARS.left) * Math.min(ratio, LONGEST)) / LONGEST;
}

/** One chart for endpoints and one for networks, side by side. */
function drawCurves({ figures = [] }: Measured, top: number): Drawn {
  const points = figures.flatMap(({ title, value }) => {
    const [, what = "", size = ""] = SCALE_TITLE.exec(title) ?? [];
    return what === "" ? [] : [{ what, size, value }];
  });
  const charts = Object.entries(Object.groupBy(points, ({ what }) => what));
  if (charts.length === 0) return { parts: [], bottom: top - 44 };
  const width = (WIDTH - EDGE) / charts.length - EDGE;
  const parts = charts.flatMap(([what, row = []], at) =>
    drawCurve(what, row, { left: EDGE + at * (width + EDGE), top, width }),
  );
  return { parts, bottom: top + CURVES.gap + CURVES.height + 24 };
}

function drawCurve(
  what: string,
  row: readonly { readonly size: string; readonly value: number }[],
  { left, top, width }: { readonly left: number; readonly top: number; readonly width: number },
): readonly string[] {
  const [first = { size: "", value: 0 }] = row;
  const limit = first.value * 1.2;
  const most = Math.max(limit, ...row.map(({ value }) => value)) * 1.15;
  const base = top + CURVES.gap + CURVES.height;
  const y = (ms: number) => base - (CURVES.height * ms) / most;
  const x = (at: number) => left + CURVES.labelGap + ((width - 2 * CURVES.labelGap) * at) / Math.max(1, row.length - 1);
  const dots = row.flatMap(({ size, value }, at) => [
    `<circle class="met" cx="${x(at).toFixed(1)}" cy="${y(value).toFixed(1)}" r="4"/>`,
    text(x(at), y(value) + 22, "middle plate", `${value.toFixed(1)} ms`),
    text(x(at), base + 18, "soft middle", size),
  ]);
  const corners = row.map(({ value }, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  return [
    text(left, top, "head", `Life of an endpoint, by the number of ${what}`),
    line(left, base, left + width, base),
    line(left, y(limit), left + width, y(limit), "limit"),
    text(left, top + 20, "soft", `dashed: the goal, 1.2 times that at ${first.size}`),
    `<polyline class="curve" points="${corners}"/>`,
    ...dots,
  ];
}

/** With round corners at its end and none at the line where it begins. */
function bar(x: number, y: number, length: number, kind: string): string {
  const [round, height] = [Math.min(ROUND, length), BARS.thickness];
  const far = `h${(length - round).toFixed(1)}q${round} 0 ${round} ${round}v${height - 2 * round}q0 ${round} -${round} ${round}`;
  return `<path class="${kind}" d="M${x} ${y}${far}H${x}z"/>`;
}

function line(x1: number, y1: number, x2: number, y2: number, kind = ""): string {
  const at = [x1, y1, x2, y2].map((value) => value.toFixed(1));
  return `<line${classOf(kind)} x1="${at[0]}" y1="${at[1]}" x2="${at[2]}" y2="${at[3]}"/>`;
}

function text(x: number, y: number, kind: string, words: string, more = ""): string {
  return `<text${classOf(kind)} x="${x.toFixed(1)}" y="${y.toFixed(1)}">${escape(words)}${more}</text>`;
}

function classOf(kind: string): string {
  return kind === "" ? "" : ` class="${kind}"`;
}

function escape(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
