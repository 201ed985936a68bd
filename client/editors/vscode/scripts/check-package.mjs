// Looks into the package that was made: what belongs in it is there, and nothing else is.
//
//   node scripts/check-package.mjs authsome-0.1.0.vsix

import { readFileSync, readdirSync } from "node:fs";
import { inflateRawSync } from "node:zlib";

/** Larger, and something came along that is not ours. */
const LARGEST = 128 * 1024;

const [file] = process.argv.slice(2);
const bytes = readFileSync(file);
const entries = unzip(bytes);
const problems = [];

const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
const wanted = new Set([
  "[Content_Types].xml",
  "extension.vsixmanifest",
  "extension/package.json",
  "extension/README.md",
  "extension/CHANGELOG.md",
  "extension/LICENSE-APACHE",
  "extension/LICENSE-MIT",
  "extension/media/container.svg",
  "extension/media/icon.png",
  ...sources.map((name) => `extension/dist/${name.replace(/\.ts$/, ".js")}`),
]);
for (const name of wanted) {
  if (!entries.has(name)) problems.push(`${name} is missing`);
}
for (const name of entries.keys()) {
  if (!wanted.has(name)) problems.push(`${name} does not belong there`);
}
if (bytes.length > LARGEST) problems.push(`it has ${bytes.length} bytes, more than ${LARGEST}`);

for (const [name, content] of entries) {
  const text = content.toString("latin1");
  if (text.includes(process.cwd())) problems.push(`${name} holds a path of this machine`);
  if (text.includes("sourceMappingURL")) problems.push(`${name} names a source map`);
  if (name.endsWith(".js")) {
    for (const [, module] of text.matchAll(/require\("([^"]+)"\)/g)) {
      if (!/^(\.|node:|vscode$)/.test(module)) problems.push(`${name} needs ${module}, which is not in the package`);
    }
  }
}
const manifest = JSON.parse(entries.get("extension/package.json") ?? "{}");
if (Object.keys(manifest.dependencies ?? {}).length > 0) problems.push("it has dependencies");
for (const [name, setting] of Object.entries(manifest.contributes?.configuration?.properties ?? {})) {
  if (setting.scope !== "machine") problems.push(`a workspace can set ${name}`);
}
const used = new Set([...entries.get("extension/dist/extension.js").toString().matchAll(/(?:command|onConnection)\("(\w+)"/g)].map((found) => `authsome.${found[1]}`));
for (const { command } of manifest.contributes?.commands ?? []) {
  if (!used.delete(command)) problems.push(`${command} is declared and does nothing`);
}
for (const command of used) problems.push(`${command} is not declared`);

if (problems.length > 0) {
  console.error(problems.map((problem) => `error: ${file}: ${problem}`).join("\n"));
  process.exit(1);
}
console.log(`${file}: ${entries.size} files, ${bytes.length} bytes`);

/** The files of an archive, by its central directory. */
function unzip(archive) {
  const end = archive.lastIndexOf("PK\x05\x06", undefined, "latin1");
  let at = archive.readUInt32LE(end + 16);
  const files = new Map();
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [method, size] = [archive.readUInt16LE(at + 10), archive.readUInt32LE(at + 20)];
    const lengths = [28, 30, 32].map((field) => archive.readUInt16LE(at + field));
    const name = archive.toString("utf8", at + 46, at + 46 + lengths[0]);
    const local = archive.readUInt32LE(at + 42);
    const data = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const content = archive.subarray(data, data + size);
    files.set(name, method === 0 ? content : inflateRawSync(content));
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return files;
}
