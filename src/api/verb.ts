// One verb of the plugin protocol as the routes declare it: name, form of its body, and what to do.
import type { TSchema } from "typebox";

/** What a route file says about one verb. */
export interface Verb {
  /** As in the URL: `NetworkDriver.CreateNetwork`. */
  readonly name: string;
  /** Form of the body; absent for a verb without arguments, whose body is not looked at. */
  readonly schema?: TSchema;
  /** Whether calls wait until recovery is done. */
  readonly isGated: boolean;
  /**
   * @param message - a body that fits `schema`.
   * @param signal - aborts when the call was answered for lack of time.
   * @returns the answer, to be written as JSON.
   */
  readonly run: (message: unknown, signal: AbortSignal) => Promise<object>;
}

type Run<Message> = (message: Message, signal: AbortSignal) => Promise<object> | object;

/**
 * A verb that needs tsnet's records: it waits until recovery is done. `Message` is what `schema` describes, named where the
 * verb is declared: to derive it here would cost the type checker more than all other files together.
 */
export function statefulVerb<Message>(name: string, schema: TSchema, run: Run<Message>): Verb {
  return { ...statelessVerb(name, schema, run), isGated: true };
}

/** A verb with arguments that is answered at any time. */
export function statelessVerb<Message>(name: string, schema: TSchema, run: Run<Message>): Verb {
  return {
    name,
    schema,
    isGated: false,
    // The cast holds because `addVerb` lets fastify check the body against this very schema first.
    run: async (message, signal) => run(message as Message, signal),
  };
}

/** A verb without arguments that is answered at any time. */
export function constantVerb(name: string, answer: object): Verb {
  return { name, isGated: false, run: async () => answer };
}
