// The validators of bodies, made by Ajv as fastify makes them, but each when the first body for it comes: to make all of them
// takes a fifth of the time in which the daemon starts.
import { AjvCompiler, type BuildCompilerFromPool } from "@fastify/ajv-compiler";

type Compile = ReturnType<BuildCompilerFromPool>;

/** In the place of fastify's own `buildValidator`. Whatever is wrong with a schema is thrown by the first call. */
export function buildLateValidators(...settings: Parameters<BuildCompilerFromPool>): Compile {
  const compile = AjvCompiler()(...settings);
  return (route) => {
    let made: ReturnType<Compile> | undefined;
    const validate = (body: unknown) => {
      made ??= compile(route);
      const isValid = made(body);
      validate.errors = made.errors;
      return isValid;
    };
    validate.errors = undefined as ReturnType<Compile>["errors"];
    return validate as ReturnType<Compile>; // of what else Ajv's functions have, fastify uses nothing
  };
}
