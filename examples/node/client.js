// Calls cardproof: two verifications, one card, and two errors with their details.
'use strict';

const { randomBytes, randomUUID } = require('node:crypto');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const grpc = require('@grpc/grpc-js');
const { loadFileDescriptorSetFromBuffer, loadSync } = require('@grpc/proto-loader');
const googleProtos = require('google-proto-files');

const DEADLINE_MS = 5000;
const TRACE_ID = randomBytes(16).toString('hex');
const options = { longs: String, enums: String, defaults: true, keepCase: true };

// the stubs, from the descriptor set that is generated beside this file
const descriptors = readFileSync(path.join(__dirname, 'generated', 'bankcard.v1.binpb'));
const { bankcard } = grpc.loadPackageDefinition(loadFileDescriptorSetFromBuffer(descriptors, options));

// the messages that travel in an error
const folder = googleProtos.getProtoPath('..');
const messages = loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], { ...options, includeDirs: [folder] });

// A deadline, and a span of its own below this program's trace (W3C trace context).
function callArguments() {
  const metadata = new grpc.Metadata();
  metadata.set('traceparent', `00-${TRACE_ID}-${randomBytes(8).toString('hex')}-01`);
  return [metadata, { deadline: Date.now() + DEADLINE_MS }];
}

async function verify(client, label, question) {
  // one id for one question: a retry of the channel sends the same message, so the same id
  const request = { ...question, request_id: randomUUID() };
  try {
    const answer = await promisify(client.VerifyBankCard).call(client, request, ...callArguments());
    console.log(`${label}: ${answer.verdict}, ${answer.result}, ${answer.factors}, ${answer.charge}`);
  } catch (error) {
    printError(label, error);
  }
}

async function query(client, label, card) {
  const request = { bank_card: card, request_id: randomUUID() };
  try {
    const answer = await promisify(client.QueryCardInfo).call(client, request, ...callArguments());
    console.log(`${label}: ${answer.result}, ${answer.bank_name} (${answer.bank_code}), ${answer.card_type}, ${answer.network}`);
  } catch (error) {
    printError(label, error);
  }
}

// The details of an error by the names of their types; empty where the server sent none.
function detailsOf(error) {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  if (bytes === undefined) return {};
  const details = {};
  for (const any of messages['google.rpc.Status'].deserialize(bytes).details) {
    // proto-loader unpacks an Any whose type it has loaded
    const name = (any['@type'] ?? any.type_url).split('/').pop();
    details[name] = '@type' in any ? any : messages[name].deserialize(any.value);
  }
  return details;
}

function printError(label, error) {
  if (!(error.metadata instanceof grpc.Metadata)) throw error;
  console.log(`${label}: ${grpc.status[error.code]}`);
  const details = detailsOf(error);
  const reason = details['google.rpc.ErrorInfo'];
  if (reason) {
    console.log(`  reason ${reason.reason} of ${reason.domain}`);
    for (const name of Object.keys(reason.metadata).sort()) console.log(`  ${name}: ${reason.metadata[name]}`);
  }
  for (const violation of details['google.rpc.BadRequest']?.field_violations ?? []) {
    console.log(`  field ${violation.field}: ${violation.reason}, ${violation.description}`);
  }
  const delay = details['google.rpc.RetryInfo']?.retry_delay;
  if (delay) console.log(`  again after ${Number(delay.seconds) * 1000 + Math.floor(delay.nanos / 1e6)} ms`);
}

async function main() {
  const target = process.argv[2] ?? 'localhost:50051';
  const serviceConfig = readFileSync(path.join(__dirname, '..', 'service-config.json'), 'utf8');
  const client = new bankcard.v1.BankCardService(`dns:///${target}`, grpc.credentials.createInsecure(), {
    'grpc.service_config': serviceConfig,
  });
  await verify(client, 'match', {
    bank_card: '6200000100000012', name: '张三', id_number: '11010519491231002X', phone: '13800138000',
  });
  await verify(client, 'mismatch', { bank_card: '6200000100000020', name: '张三' });
  await query(client, 'card', '622202');
  await verify(client, 'bad request', { bank_card: '1234', name: 'J0hn', phone: '555-1234' });
  await verify(client, 'no vendor', { bank_card: '6200000400000027', name: '张三' });
  client.close();
}

main();
