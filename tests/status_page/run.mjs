// A running service with failing vendors, and headless Chromium looking at its status page.
//
//   node --experimental-websocket run.mjs CARDPROOF EMULATOR CHROMIUM REDIS [PICTURES]
//
// PICTURES is a folder that gets what was seen; without it nothing is kept.

import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [cardproof, emulator, chromium, redis, pictures] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "status-page-"));
const running = [];
const tidy = () => {
  for (const child of running) child.kill();
  rmSync(folder, { recursive: true, force: true });
};
process.on("exit", tidy);

// the first line that says where somebody listens
const started = (command, args, pattern) => new Promise((found, failed) => {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  running.push(child);
  let told = "";
  child.stdout.on("data", (chunk) => {
    told += chunk;
    const match = told.match(pattern);
    if (match) found(match);
  });
  child.on("exit", (code) => failed(new Error(`${command} ended with ${code}: ${told}`)));
});

const [, vendors] = await started(emulator, ["--listen", "127.0.0.1:0", "--quiet"], /listening on (\S+)/);
const secret = (name, text) => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return `{ file = ${JSON.stringify(path)} }`;
};
const free = await new Promise((found) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => found(port));
  });
});
await started(redis, ["--bind", "127.0.0.1", "--port", String(free), "--save", "", "--requirepass", "of-a-test"], /Ready to accept connections/);
const price = (name) => `[providers.${name}.price]\ncurrency = "CNY"\ntwo = 0.2\nthree = 0.35\nfour = 0.5\n`;
const config = join(folder, "cardproof.toml");
const settings = `mode = "development"
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[routes]
verify_two = ["ace", "tencent"]
verify_three = ["alibaba", "tencent"]
verify_four = ["tencent"]
card_info = ["bin"]
[cache]
key = ${secret("cache", "ab".repeat(32))}
[cache.redis]
url = ${secret("redis", `redis://:of-a-test@127.0.0.1:${free}/0`)}
timeout_ms = 1000
[breaker]
min_calls = 5
open_s = 600
[telemetry]
log_format = "json"
ledger_file = ${JSON.stringify(join(folder, "ledger.jsonl"))}
[providers.tencent]
kind = "tencent"
endpoint = "${vendors}"
secret_id = ${secret("tencent-id", "AKIDEMULATOR")}
secret_key = ${secret("tencent-key", "emulator-tencent-secret")}
daily_budget = { currency = "CNY", amount = 18.0 }
${price("tencent")}
[providers.alibaba]
kind = "alibaba"
endpoint = "${vendors}"
product = "intl"
access_key_id = ${secret("alibaba-id", "LTAIEMULATOR")}
access_key_secret = ${secret("alibaba-key", "not-the-secret-of-the-emulator")}
misconfigured_skip_s = 600
[providers.alibaba.price]
currency = "CNY"
three = 0.3
four = 0.4
[providers.ace]
kind = "ace"
endpoint = "${vendors}"
token = ${secret("ace", "emulator-ace-token")}
daily_budget = { currency = "CNY", amount = 100.0 }
${price("ace")}`;
writeFileSync(config, settings);
const [, grpc, admin] = await started(cardproof, ["serve", "--config", config],
  /"grpc":"([^"]+)","admin":"([^"]+)".*"serving"|"message":"serving".*"grpc":"([^"]+)".*"admin":"([^"]+)"/)
  .then((match) => [match[0], match[1] ?? match[3], match[2] ?? match[4]]);

const ask = (question) => {
  const asked = spawnSync(cardproof, ["verify", "--json", "--addr", `http://${grpc}`], {
    input: JSON.stringify(question), encoding: "utf8",
  });
  return JSON.parse(asked.stdout);
};
const control = (path, body) => fetch(`${vendors}/_control/${path}`, {
  method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" },
});
const card = (number) => `622848${String(number).padStart(10, "0")}`;
const person = { name: "张三", id_number: "11010519491231002X", phone: "13800138000" };

await control("scripts", { vendor: "tencent", delay_ms: 40 });
await control("scripts", { vendor: "ace", fault: { kind: "cut_after_read" } });
// a vendor that takes requests and gives no answers, until it is left alone
for (let number = 0; number < 6; number += 1) ask({ bank_card: card(number), name: person.name });
// one that does not know us, and one that answers
for (let number = 10; number < 30; number += 1) {
  ask({ bank_card: card(number), name: person.name, id_number: person.id_number });
}
for (let number = 40; number < 55; number += 1) {
  for (let times = 0; times < 4; times += 1) ask({ bank_card: card(number), ...person });
}
// a card that somebody tries names on
for (const name of ["李一", "李二", "李三", "李四"]) ask({ bank_card: card(90), name, id_number: person.id_number });
// a file that nobody can use
writeFileSync(config, `${settings}\n[surprise]\n`);
const status = async () => (await fetch(`http://${admin}/status`)).json();
const begun = Date.now();
while ((await status()).last_reload?.outcome !== "refused") {
  if (Date.now() - begun > 20_000) throw new Error("the new file is not looked at");
  await new Promise((later) => setTimeout(later, 100));
}
while ((await status()).redis?.up !== true) {
  if (Date.now() - begun > 40_000) throw new Error("Redis is not up");
  await new Promise((later) => setTimeout(later, 100));
}

const seen = await status();
const refused = Object.values(seen.guard.refusals).reduce((sum, count) => sum + count, 0);
if (refused === 0) throw new Error("the guard refused nothing");
const text = JSON.stringify(seen) + await (await fetch(`http://${admin}/`)).text();
for (const personal of [...Object.values(person), "622848", "李一", vendors, "emulator", folder, "of-a-test"]) {
  if (text.includes(personal)) throw new Error(`the status shows ${personal}`);
}
const look = spawnSync(process.execPath, [
  "--experimental-websocket", "--no-warnings", join(dirname(fileURLToPath(import.meta.url)), "look.mjs"),
  chromium, `http://${admin}/`, folder,
], {
  stdio: "inherit",
  env: {
    ...process.env,
    WANTED: [
      "serving", "Needs attention", "ace keeps failing and is left alone: verify two",
      "alibaba does not accept our credentials or settings", "failing",
      "misconfigured, passed over for", "outcome unknown", "the configuration on the disk cannot be used",
      "surprise: ", "spent", "of 18 CNY", "verify four", "tencent", "shared by all replicas",
    ].join("|"),
  },
});
if (pictures) {
  for (const name of ["day", "night", "phone"]) {
    copyFileSync(join(folder, `status-${name}.png`), join(pictures, `status-${name}.png`));
  }
}
process.exit(look.status ?? 1);
