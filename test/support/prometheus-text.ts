// Reads Prometheus' text format 0.0.4, strictly: a line that is none, a name without HELP and TYPE before it, or a row of
// labels that comes twice is a fault. Follows prometheus.io/docs/instrumenting/exposition_formats.

/** One line with a value. */
export interface TextSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What a scrape brought. */
export interface ScrapedMetrics {
  readonly text: string;
  /** All samples of one name. */
  samples(name: string): readonly TextSample[];
  /** The value with exactly these labels. @throws Error if there is none. */
  value(name: string, labels: Readonly<Record<string, string>>): number;
}

const SAMPLE = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? ([0-9.e+-]+|NaN|[+-]Inf)$/;
const LABEL = /([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y;
const ESCAPES: Readonly<Record<string, string>> = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };

/** @throws Error for what Prometheus would refuse. */
export function parseMetrics(text: string): ScrapedMetrics {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const declared = new Set<string>();
  const samples = new Map<string, TextSample>();
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const [, declaration, of = ""] = /^# (HELP|TYPE) ([a-z0-9_]+) .+$/.exec(line) ?? [];
    if (declaration !== undefined) {
      declared.add(`${declaration} ${of}`);
      continue;
    }
    const sample = parseSample(line);
    const family = sample.name.replace(/_(bucket|sum|count)$/, "");
    const isDeclared = [sample.name, family].some(
      (name) => declared.has(`HELP ${name}`) && declared.has(`TYPE ${name}`),
    );
    if (!isDeclared) throw new Error(`${sample.name} is not declared`);
    const key = keyOf(sample);
    if (samples.has(key)) throw new Error(`twice: ${line}`);
    samples.set(key, sample);
  }
  const value = (name: string, labels: Readonly<Record<string, string>>) => {
    const sample = samples.get(keyOf({ name, labels }));
    if (sample === undefined) throw new Error(`no ${keyOf({ name, labels })} in\n${text}`);
    return sample.value;
  };
  return { text, value, samples: (name) => [...samples.values()].filter((sample) => sample.name === name) };
}

function parseSample(line: string): TextSample {
  const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new Error(`no sample: ${line}`);
  const found: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let at = 0; at < labels.length; at = LABEL.lastIndex) {
    const [, label, escaped] = LABEL.exec(labels) ?? [];
    if (label === undefined || escaped === undefined || label in found) throw new Error(`bad labels: ${line}`);
    found[label] = escaped.replaceAll(/\\[\\"n]/g, (escape) => ESCAPES[escape] ?? escape);
  }
  return { name, labels: found, value: Number(value.replace("Inf", "Infinity")) };
}

function keyOf({ name, labels }: Pick<TextSample, "name" | "labels">): string {
  return `${name} ${JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}
