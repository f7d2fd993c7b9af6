// Builds the embedded BIN table. Needs Node 20 or later and nothing else.
//
//   node tools/bin-table/generate.mjs fetch   npm package -> tests/data/bankcard-<version>.json
//   node tools/bin-table/generate.mjs         that file and data/*.tsv -> data/bins.tsv, src/provider/bin/generated.rs
//   node tools/bin-table/generate.mjs check   the same in memory; exit 1 if a committed file differs
//
// Only `fetch` uses the network (through npm); everything else works from committed files, so that a correction of a
// name needs no registry. The output depends on nothing but the input: two runs give the same bytes.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { gunzipSync } from 'node:zlib';

const SOURCE = {
  name: 'bankcard',
  version: '3.1.6',
  integrity: 'sha512-HSkbQ1exp2nPBT6iJI6X6j/tdy/yJohlpMQTpsfNn6Mttm2Qp6HYhrUS0qVIp4V1OY9yL4UKzTiP6u34tfXaVQ==',
  licence: 'MIT, Copyright (c) 2019 caijf',
};
// Set by hand with every change of data/ that changes an answer.
const TABLE_DATE = '2026-11-23';
const DATA_VERSION = `${SOURCE.name}-${SOURCE.version}+${TABLE_DATE}`;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCE_FILE = `tests/data/${SOURCE.name}-${SOURCE.version}.json`;
const CARD_TYPES = { DC: 'Debit', CC: 'Credit', SCC: 'QuasiCredit', PC: 'Prepaid' };
const CARD_TYPE_NAMES = { DC: 'DEBIT', CC: 'CREDIT', SCC: 'QUASI_CREDIT', PC: 'PREPAID' };
const [PREFIX_MIN, PREFIX_MAX] = [3, 10];
const [CARD_MIN, CARD_MAX] = [12, 19];
// Ranges are compared by the first twelve digits: the shortest card has no more.
const KEY_DIGITS = 12;

function fail(message) {
  console.error(`bin-table: ${message}`);
  process.exit(1);
}

function ensure(condition, message) {
  if (!condition) fail(message);
}

// --- fetch -----------------------------------------------------------------------------------------------------------

function verifiedTarball() {
  const folder = mkdtempSync(join(tmpdir(), 'bin-table-'));
  try {
    const output = execFileSync('npm', ['pack', '--silent', `${SOURCE.name}@${SOURCE.version}`], { cwd: folder });
    const bytes = readFileSync(join(folder, output.toString().trim()));
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    ensure(integrity === SOURCE.integrity, 'the package does not have the pinned digest');
    return gunzipSync(bytes);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function fileInTar(tar, wanted) {
  const text = (from, length) => tar.toString('latin1', from, from + length).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = parseInt(text(at + 124, 12), 8);
    if (text(at, 100) === wanted) return tar.toString('utf8', at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return fail(`the package has no ${wanted}`);
}

function fetchSource() {
  const script = fileInTar(verifiedTarball(), `package/dist/${SOURCE.name}.cjs.js`);
  const exports = {};
  // The package keeps its tables inside a script; it gets an empty world, and only plain data is taken out of it.
  runInNewContext(script, { exports });
  const banks = [...exports.banks].map(({ code, name }) => ({ code, name }));
  const bin = [...exports.cards].map((card) => ({
    bin: card.cardBin,
    bank: card.bankCode,
    type: card.cardType,
    len: card.len,
  }));
  const lines = (items) => items.map((item) => `    ${JSON.stringify(item)}`).join(',\n');
  const { licence, ...pinned } = SOURCE;
  return [
    '{',
    `  "source": ${JSON.stringify({ ...pinned, licence })},`,
    `  "banks": [\n${lines(banks)}\n  ],`,
    `  "bin": [\n${lines(bin)}\n  ]`,
    '}\n',
  ].join('\n');
}

// --- input -----------------------------------------------------------------------------------------------------------

const read = (path) => readFileSync(join(ROOT, path), 'utf8');

function readTsv(path) {
  const [header, ...lines] = read(path).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const columns = header.split('\t');
  return lines.map((line) => {
    const fields = line.split('\t');
    ensure(fields.length === columns.length, `${path}: a line has ${fields.length} fields`);
    return Object.fromEntries(columns.map((column, index) => [column, fields[index]]));
  });
}

function parseLengths(text) {
  return text.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number);
    ensure(CARD_MIN <= first && first <= last && last <= CARD_MAX, `networks.tsv: bad lengths`);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function readRanges() {
  return readTsv('data/networks.tsv').map(({ first, last, lengths, network }) => {
    ensure(/^\d{1,12}$/.test(first) && /^\d+$/.test(last) && first.length === last.length && first <= last,
      `networks.tsv: bad range ${first}-${last}`);
    return {
      start: Number(first.padEnd(KEY_DIGITS, '0')),
      end: Number(last.padEnd(KEY_DIGITS, '9')) + 1,
      lengths: parseLengths(lengths),
      network,
      name: `${first}-${last}`,
    };
  });
}

function readIssuers(source) {
  const issuers = new Map(source.banks.map(({ code, name }) => [code, { code, name, nameEn: '' }]));
  ensure(issuers.size === source.banks.length, 'the source has a bank code twice');
  for (const { bank_code, source_name, bank_name } of readTsv('data/overrides.tsv')) {
    const issuer = issuers.get(bank_code);
    ensure(issuer?.name === source_name, `overrides.tsv: the source has another name for ${bank_code}`);
    issuer.name = bank_name;
  }
  for (const { bank_code, bank_name_en } of readTsv('data/issuers_en.tsv')) {
    const issuer = issuers.get(bank_code);
    ensure(issuer && issuer.nameEn === '', `issuers_en.tsv: ${bank_code} is unknown or twice`);
    issuer.nameEn = bank_name_en;
  }
  return issuers;
}

// --- networks --------------------------------------------------------------------------------------------------------

// Two ranges that allow the same card length must lie apart or one inside the other; then the narrowest is unique.
function ensureNested(ranges) {
  for (const [index, one] of ranges.entries()) {
    for (const other of ranges.slice(index + 1)) {
      if (one.end <= other.start || other.end <= one.start) continue;
      if (!one.lengths.some((length) => other.lengths.includes(length))) continue;
      const inside = (a, b) => b.start <= a.start && a.end <= b.end && a.end - a.start < b.end - b.start;
      ensure(inside(one, other) || inside(other, one), `networks.tsv: ${one.name} and ${other.name} cross`);
    }
  }
}

function networkAt(ranges, key, length) {
  const holding = ranges.filter((range) => range.start <= key && key < range.end && range.lengths.includes(length));
  holding.sort((a, b) => a.end - a.start - (b.end - b.start));
  return holding[0]?.network;
}

// Cuts the nested ranges into neighbours that do not overlap, each with one network (or none) for each card length.
function segmentsOf(ranges) {
  const starts = [...new Set([0, ...ranges.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  const segments = [];
  for (const start of starts.filter((start) => start < 10 ** KEY_DIGITS)) {
    const networks = [];
    for (let length = CARD_MIN; length <= CARD_MAX; length += 1) networks.push(networkAt(ranges, start, length));
    if (segments.length && String(segments.at(-1).networks) === String(networks)) continue;
    segments.push({ start, networks });
  }
  return segments;
}

// The issuers of the source are banks of mainland China and its neighbours, and their cards run over UnionPay, alone or
// beside a second brand whose number range they use. That brand is named only for a number such as it issues itself:
// the 19-digit debit cards in a Visa range are UnionPay cards.
const SECOND_BRANDS = { VISA: 16, MASTERCARD: 16, JCB: 16, AMERICAN_EXPRESS: 15 };

function networkOfRow(ranges, { bin, len }) {
  if (bin.startsWith('62')) return 'UNIONPAY';
  const start = Number(bin.padEnd(KEY_DIGITS, '0'));
  const end = Number(bin.padEnd(KEY_DIGITS, '9'));
  const inside = ranges.filter((range) => range.start > start && range.start <= end && range.lengths.includes(len));
  const network = networkAt(ranges, start, len);
  if (SECOND_BRANDS[network] !== len) return 'UNIONPAY';
  ensure(inside.length === 0, `${bin}: the prefix holds several networks`);
  return network;
}

// --- output ----------------------------------------------------------------------------------------------------------

function readRows(source, issuers, ranges) {
  const rows = source.bin.map((row) => ({ ...row, network: networkOfRow(ranges, row) }));
  const keys = new Set();
  for (const { bin, bank, type, len } of rows) {
    ensure(/^\d+$/.test(bin) && PREFIX_MIN <= bin.length && bin.length <= PREFIX_MAX, `source: bad prefix ${bin}`);
    ensure(CARD_MIN <= len && len <= CARD_MAX, `source: bad card length of ${bin}`);
    ensure(issuers.has(bank) && CARD_TYPES[type], `source: bad bank or type of ${bin}`);
    ensure(!keys.has(`${bin}/${len}`), `source: ${bin} twice for cards of ${len} digits`);
    keys.add(`${bin}/${len}`);
  }
  const order = ({ bin, len }) => `${String(bin.length).padStart(2, '0')} ${bin} ${len}`;
  return rows.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function tableFile(rows, issuers) {
  const lines = rows.map(({ bin, bank, type, len, network }) =>
    [bin, len, bank, issuers.get(bank).name, CARD_TYPE_NAMES[type], network].join('\t'));
  return [
    '# Card number prefixes of mainland Chinese issuers. Generated by tools/bin-table/generate.mjs: do not edit.',
    `# Data version: ${DATA_VERSION}`,
    `# Source: npm package ${SOURCE.name} ${SOURCE.version} (${SOURCE.licence}; see THIRD_PARTY_NOTICES.md)`,
    `# Digest: ${SOURCE.integrity}`,
    'prefix\tcard_length\tbank_code\tbank_name\tcard_type\tnetwork',
    ...lines,
    '',
  ].join('\n');
}

// The names of the Rust enum are read from its declaration.
const variant = (screaming) => NETWORK_VARIANTS[screaming] ?? fail(`networks.tsv: unknown network ${screaming}`);
const NETWORK_VARIANTS = Object.fromEntries(
  [...read('src/domain/card_kind.rs').matchAll(/^ +(\w+) = "([A-Z_]+)",$/gm)].map(([, name, text]) => [text, name]));

function rustFile(rows, issuers, segments) {
  const used = [...issuers.values()].filter(({ code }) => rows.some(({ bank }) => bank === code));
  const indexOf = new Map(used.map(({ code }, index) => [code, index]));
  const groups = [];
  for (let length = PREFIX_MIN; length <= PREFIX_MAX; length += 1) {
    groups.push(rows.filter(({ bin }) => bin.length === length));
  }
  const networks = [...new Set(segments.flatMap((segment) => segment.networks))].filter(Boolean).sort();
  const short = (network) => (network ? variant(network).toUpperCase() : 'NONE');
  const issuerLine = ({ code, name, nameEn }) =>
    `    Issuer { code: ${JSON.stringify(code)}, name: ${JSON.stringify(name)}, name_en: ${JSON.stringify(nameEn)} },`;
  const rowLine = ({ bin, bank, type, len, network }) =>
    `    Row { prefix: ${bin}, issuer: ${indexOf.get(bank)}, card_length: ${len}, ` +
    `card_type: CardType::${CARD_TYPES[type]}, network: CardNetwork::${variant(network)} },`;
  return [
    '//! The embedded BIN table. Generated by `tools/bin-table/generate.mjs`: do not edit.',
    '//!',
    `//! Source: npm package \`${SOURCE.name}\` ${SOURCE.version}, ${SOURCE.licence}; see \`THIRD_PARTY_NOTICES.md\`.`,
    '',
    'use super::network::Segment;',
    'use super::table::{Issuer, Row};',
    'use crate::domain::{CardNetwork, CardType};',
    '',
    '/// Names the embedded data: the source with its version, and the date of this table.',
    `pub(super) const DATA_VERSION: &str = ${JSON.stringify(DATA_VERSION)};`,
    '',
    `/// The issuers that have a prefix in the table; [\`Row::issuer\`] is an index into them.`,
    `pub(super) static ISSUERS: [Issuer; ${used.length}] = [`,
    ...used.map(issuerLine),
    '];',
    '',
    `/// All ${rows.length} rows by the length of their prefix, ${PREFIX_MIN} to ${PREFIX_MAX} digits; each group is sorted by prefix, then card length.`,
    `pub(super) static ROWS: [&[Row]; ${groups.length}] = [`,
    ...groups.flatMap((group) => ['    &[', ...group.map((row) => `    ${rowLine(row)}`), '    ],']),
    '];',
    '',
    ...['NONE', ...networks].map((network) =>
      network === 'NONE'
        ? 'const NONE: Option<CardNetwork> = None;'
        : `const ${short(network)}: Option<CardNetwork> = Some(CardNetwork::${variant(network)});`),
    '',
    '/// The networks of the world, sorted by the first number of each stretch.',
    `pub(super) static SEGMENTS: [Segment; ${segments.length}] = [`,
    ...segments.map((segment) =>
      `    Segment { start: ${segment.start}, networks: [${segment.networks.map(short).join(', ')}] },`),
    '];',
    '',
  ].join('\n');
}

// --- main ------------------------------------------------------------------------------------------------------------

const command = process.argv[2] ?? 'write';
if (command === 'fetch') {
  writeFileSync(join(ROOT, SOURCE_FILE), fetchSource());
} else {
  ensure(['write', 'check'].includes(command), 'usage: generate.mjs [fetch|check]');
  const source = JSON.parse(read(SOURCE_FILE));
  ensure(source.source.integrity === SOURCE.integrity, `${SOURCE_FILE} is of another version`);
  const ranges = readRanges();
  ensureNested(ranges);
  const issuers = readIssuers(source);
  const rows = readRows(source, issuers, ranges);
  const files = {
    'data/bins.tsv': tableFile(rows, issuers),
    'src/provider/bin/generated.rs': rustFile(rows, issuers, segmentsOf(ranges)),
  };
  for (const [path, content] of Object.entries(files)) {
    if (command === 'write') writeFileSync(join(ROOT, path), content);
    else ensure(read(path) === content, `${path} is not what the data says; run the generator`);
  }
  console.log(`${DATA_VERSION}: ${rows.length} rows, ${source.banks.length} issuers, ${ranges.length} network ranges`);
}
