// Holds objects of foreign kinds to their makers' schemas: foreign.mjs FOLDER OBJECTS.json
// The validators find what is missing or of a wrong type; the types, by way of the compiler, also
// what nobody knows. Prints one line per problem.
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  Certificate: "@kubernetes-models/cert-manager",
  ExternalSecret: "@kubernetes-models/external-secrets",
  GRPCRoute: "@kubernetes-models/gateway-api",
  PrometheusRule: "@kubernetes-models/prometheus-operator",
  ServiceMonitor: "@kubernetes-models/prometheus-operator",
};
const [folder, file] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(folder, "kinds", "x.js")));
let failed = false;
const problem = (text) => { failed = true; console.log(text); };

const lines = [];
let number = 0;
for (const object of JSON.parse(readFileSync(file, "utf8"))) {
  const name = PACKAGES[object.kind];
  if (!name) { problem(`no schema is known for ${object.kind}`); continue; }
  const module = `${name}/${object.apiVersion}/${object.kind}`;
  const found = join(folder, "kinds/node_modules", `${module}.js`);
  const { [object.kind]: Model } = await import(pathToFileURL(found));
  try { new Model(object).validate(); } catch (error) { problem(`${object.kind}: ${error.message}`); }
  lines.push(`import type { I${object.kind} as T${number} } from "${module}";`);
  lines.push(`export const v${number}: T${number} = ${JSON.stringify(object)};`);
  number += 1;
}
const source = join(folder, "kinds", `check-${process.pid}.ts`);
try {
  writeFileSync(source, lines.join("\n"));
  const tsc = require.resolve("typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "--noEmit", "--strict", "--skipLibCheck",
    "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022", source], { encoding: "utf8" });
} catch (error) {
  problem(error.stdout || error.message);
} finally {
  rmSync(source, { force: true });
}
if (number === 0) problem("no object was given");
process.exit(failed ? 1 : 0);
