// Writes down what is measured in Prometheus' text format, by prom-client. Loaded when it is first needed (`metrics.ts`): a
// daemon that nobody scrapes neither waits for it nor has it in memory.
//
// Format: prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4.
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { MEASURES, type Measure, type Snapshot, VERB_DURATION } from "./measures.ts";

/** One call of the engine that has been answered. */
export interface AnsweredCall {
  /** `NetworkDriver.Join`. */
  readonly verb: string;
  /** `ok` or the code of the error. */
  readonly outcome: string;
  readonly seconds: number;
}

/** The media type of `MetricRegistry.format`. */
export const TEXT_FORMAT: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** Everything that is measured, by name. */
export class MetricRegistry {
  readonly #registry = new Registry();
  readonly #durations: Histogram;
  /** All but the durations. */
  readonly #read: (Counter | Gauge)[] = [];
  #snapshot: Snapshot | undefined;

  constructor() {
    const { labels, buckets, ...names } = VERB_DURATION;
    const registers = [this.#registry];
    this.#durations = new Histogram({ ...names, labelNames: [...labels], buckets: [...buckets], registers });
    for (const measure of MEASURES) this.#add(measure);
  }

  /** The names that Prometheus gets to see, without the endings of a histogram. */
  get names(): readonly string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name);
  }

  observe({ verb, outcome, seconds }: AnsweredCall): void {
    this.#durations.observe({ verb, outcome }, seconds);
  }

  /** @returns the text, whatever the labels contain. */
  async format(snapshot: Snapshot): Promise<string> {
    this.#snapshot = snapshot;
    const text = await this.#registry.metrics();
    this.#read.forEach((metric) => metric.reset()); // else the values of every endpoint would be kept until the next time
    this.#snapshot = undefined;
    return text;
  }

  /** Read anew for each scrape: what is no more, such as an endpoint, is in none. */
  #add({ kind, name, help, labels, read }: Measure): void {
    const Kind = kind === "gauge" ? Gauge : Counter;
    const collect = () => {
      const samples = this.#snapshot === undefined ? [] : read(this.#snapshot);
      metric.reset();
      for (const [value, ...values] of samples) metric.inc(labelled(labels, values), value);
    };
    const metric = new Kind({ name, help, labelNames: [...labels], registers: [this.#registry], collect });
    this.#read.push(metric);
  }
}

function labelled(names: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, at) => [name, values[at] ?? ""]));
}
