import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { findContainer, findEngine } from "../../../src/cli/docker.ts";

/** An engine that gives these answers, by path; with 404 to all else. `DOCKER_HOST` names it. */
async function engineThatSays(answers: Readonly<Record<string, object>>) {
  const asked: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), "tsnet-test-docker-"));
  const socket = join(folder, "docker.sock");
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ""];
    asked.push(request.url ?? "");
    response.writeHead(answer === undefined ? 404 : 200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(answer ?? { message: "no such thing" }));
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(socket, resolve);
  await promise;
  vi.stubEnv("DOCKER_HOST", `unix://${socket}`);
  const end = async () => {
    server.close();
    rmSync(folder, { recursive: true });
  };
  return { asked, [Symbol.asyncDispose]: end };
}

afterEach(() => void vi.unstubAllEnvs());

describe("a container as the engine says it", () => {
  it.each([
    ["runs", { Running: true, Restarting: false, Pid: 7 }, true],
    ["does not run between two runs, though the engine says so", { Running: true, Restarting: true, Pid: 0 }, false],
    ["does not run when it has ended", { Running: false, Restarting: false, Pid: 0 }, false],
  ])("%s", async (_what, State, isRunning) => {
    const web = { Id: "4f1c", Name: "/web", HostConfig: { NetworkMode: "none" }, State };
    await using _engine = await engineThatSays({ "/containers/web/json": web });

    expect(await findContainer("web")).toEqual({ id: "4f1c", name: "web", isRunning, pid: State.Pid, isOnHost: false });
  });

  it("is not there when the engine says so", async () => {
    await using _engine = await engineThatSays({});

    await expect(findContainer("web")).rejects.toMatchObject({ code: "not-found" });
  });

  it.each(["", "/", "a b", "..", "../info", "web/json?size=1", "//web", "web\n", "wéb", "%2e%2e"])(
    "is not there under %j, which is no name: the engine is not asked",
    async (name) => {
      await using engine = await engineThatSays({});

      await expect(findContainer(name)).rejects.toMatchObject({
        code: "not-found",
        message: `Docker has no container ${JSON.stringify(name)}`,
      });
      expect(engine.asked).toEqual([]);
    },
  );

  it("is found by the name with the slash that the engine writes in front of it", async () => {
    const State = { Running: true, Restarting: false, Pid: 7 };
    const web = { Id: "4f1c", Name: "/web_1.a-b", HostConfig: { NetworkMode: "none" }, State };
    await using _engine = await engineThatSays({ "/containers/web_1.a-b/json": web });

    expect(await findContainer("/web_1.a-b")).toMatchObject({ id: "4f1c" });
  });
});

describe("the engine that answers", () => {
  it("is told from another one that has the same ID by its data root", async () => {
    await using _engine = await engineThatSays({ "/info": { ID: "4WNA:77VC", DockerRootDir: "/srv/docker" } });

    expect(await findEngine()).toBe("4WNA:77VC /srv/docker");
  });

  it("is unavailable where none does", async () => {
    vi.stubEnv("DOCKER_HOST", "unix:///nowhere/docker.sock");

    await expect(findEngine()).rejects.toMatchObject({ code: "unavailable" });
  });
});
