// Looks at the status page as a person does: in headless Chromium, over its DevTools protocol, by
// daylight and at night, on a screen and on a phone, with scripts turned off.
//
//   node --experimental-websocket look.mjs CHROMIUM URL FOLDER
//
// FOLDER gets the pictures. Exits 1 with a line for everything that is not as it should be.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [chromium, url, folder] = process.argv.slice(2);
const problems = [];
const expect = (is_so, what) => { if (!is_so) problems.push(what); };
const deadline = setTimeout(() => { console.error("not done within 120 s"); process.exit(1); }, 120_000);

const profile = mkdtempSync(join(tmpdir(), "status-page-"));
const browser = spawn(chromium, [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--disable-extensions", "--no-proxy-server", "--hide-scrollbars",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  `--user-data-dir=${profile}`, "--remote-debugging-port=0", "about:blank",
], { stdio: ["ignore", "ignore", "pipe"] });

const endpoint = await new Promise((found, failed) => {
  let told = "";
  browser.stderr.on("data", (chunk) => {
    told += chunk;
    const match = told.match(/DevTools listening on (ws:\S+)/);
    if (match) found(match[1]);
  });
  browser.on("exit", (code) => failed(new Error(`chromium ended with ${code}: ${told}`)));
});

const socket = new WebSocket(endpoint);
await new Promise((opened, failed) => { socket.onopen = opened; socket.onerror = failed; });
const waiting = new Map();
const heard = [];
let last = 0;
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.id === undefined) return heard.push(message);
  const [done, failed] = waiting.get(message.id);
  waiting.delete(message.id);
  message.error ? failed(new Error(message.error.message)) : done(message.result);
};
let session;
const call = (method, params = {}) => new Promise((done, failed) => {
  last += 1;
  waiting.set(last, [done, failed]);
  socket.send(JSON.stringify({ id: last, method, params, sessionId: session }));
});
const until = async (what, is_so) => {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await is_so()) return;
    await new Promise((later) => setTimeout(later, 50));
  }
  throw new Error(`never: ${what}`);
};

const { targetId } = await call("Target.createTarget", { url: "about:blank" });
({ sessionId: session } = await call("Target.attachToTarget", { targetId, flatten: true }));
for (const domain of ["Page", "Network", "Log", "Runtime", "Audits"]) await call(`${domain}.enable`);
await call("Emulation.setScriptExecutionDisabled", { value: true });

const evaluate = async (expression) => {
  const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.text);
  return result.value;
};
const loads = () => heard.filter((it) => it.method === "Page.loadEventFired").length;

// the ratio of brightness of two colours, by the rule of WCAG 2
const CONTRAST = `(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const colour = rgb(getComputedStyle(it).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((it) => [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((it) => it.getClientRects().length > 0)
    .map((it) => {
      const [one, two] = [light(rgb(getComputedStyle(it).color)), light(ground(it))];
      const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
      return [ratio, it.textContent.trim().slice(0, 40)];
    })
    .filter(([ratio]) => ratio < 4.5)
    .map(([ratio, text]) => text + " (" + ratio.toFixed(1) + ")");
})()`;

const looks = [
  { name: "day", width: 1180, height: 1010, scale: 1, mobile: false, scheme: "light" },
  { name: "night", width: 1180, height: 900, scale: 1, mobile: false, scheme: "dark" },
  { name: "phone", width: 390, height: 844, scale: 2, mobile: true, scheme: "dark" },
];
for (const { name, width, height, scale, mobile, scheme } of looks) {
  await call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile });
  await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  const before = loads();
  await call("Page.navigate", { url });
  await until("the page is there", () => loads() > before);
  const page = await evaluate(`({
    text: document.body.innerText,
    width: document.documentElement.scrollWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    font: getComputedStyle(document.body).fontSize,
  })`);
  expect(page.width <= width, `${name}: the page is ${page.width} wide on a screen of ${width}`);
  const dark = page.ground.match(/\d+/g).every((part) => Number(part) < 80);
  expect(dark === (scheme === "dark"), `${name}: its ground is ${page.ground}`);
  const faint = await evaluate(CONTRAST);
  expect(faint.length === 0, `${name}: hard to read: ${faint.join("; ")}`);
  // on a phone, what has had no calls takes one line
  const lines = await evaluate(`[...document.querySelectorAll("tr.quiet")].map((row) =>
    new Set([...row.children].filter((it) => it.getClientRects().length).map((it) => Math.round(it.getBoundingClientRect().top))).size + ":" +
    [...row.children].filter((it) => it.getClientRects().length).length)`);
  const cells = mobile ? "1:2" : "1:10";
  expect(lines.length > 5 && lines.every((it) => it === cells), `${name}: operations without calls take ${lines.join(" ")}`);
  for (const wanted of (process.env.WANTED ?? "").split("|").filter(Boolean)) {
    expect(page.text.includes(wanted), `${name}: does not say ${wanted}`);
  }
  const { data } = await call("Page.captureScreenshot", {});
  writeFileSync(join(folder, `status-${name}.png`), Buffer.from(data, "base64"));
}

// it asks for itself again, without any script
const before = loads();
await until("it refreshes itself", () => loads() > before);

const asked = heard.filter((it) => it.method === "Network.requestWillBeSent").map((it) => it.params.request.url);
const own = new URL(url);
const others = asked.filter((it) => ![own.href, new URL("/favicon.ico", own).href].includes(it));
expect(others.length === 0, `it loads ${others.join(", ")}`);
const complaints = heard
  .filter((it) => ["Log.entryAdded", "Audits.issueAdded", "Runtime.exceptionThrown"].includes(it.method))
  .filter((it) => !JSON.stringify(it.params).includes("favicon.ico"));
expect(complaints.length === 0, `the browser complains: ${JSON.stringify(complaints)}`);

// what the policy forbids is forbidden: a style and a picture of somebody else's
await call("Emulation.setScriptExecutionDisabled", { value: false });
const forbidden = await evaluate(`(() => {
  const style = document.createElement("style");
  style.textContent = "body { display: none }";
  document.head.append(style);
  document.body.insertAdjacentHTML("beforeend", "<i style='display:none' id=inline>x</i>");
  const shown = (it) => getComputedStyle(it).display !== "none";
  return shown(document.body) && shown(document.getElementById("inline"));
})()`);
expect(forbidden, "a style that is not the page's own takes effect");

browser.removeAllListeners("exit");
socket.close();
browser.kill();
await new Promise((gone) => browser.once("exit", gone));
rmSync(profile, { recursive: true, force: true });
clearTimeout(deadline);
for (const problem of problems) console.error(`status page: ${problem}`);
console.log(`${looks.length} looks at the status page, ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
