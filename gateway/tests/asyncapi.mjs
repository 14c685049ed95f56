// Says where the file that it is given is no AsyncAPI document. Exit code 1 if it says anything.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

// What tools/needs installs lies in target/node.
const require = createRequire(new URL("../../target/node/", import.meta.url));
const { Parser, DiagnosticSeverity } = require("@asyncapi/parser");

// Wishes of the parser, not faults: that the newest version is used.
const WISHES = new Set(["asyncapi-latest-version"]);

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const faults = diagnostics.filter(
  ({ code, severity }) => severity <= DiagnosticSeverity.Information && !WISHES.has(code),
);
for (const { path, code, message } of faults) {
  console.log(`${path.join("/")}: ${message} (${code})`);
}
process.exit(document && faults.length === 0 ? 0 : 1);
