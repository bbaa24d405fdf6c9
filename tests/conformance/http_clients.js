// Node's fetch, and its older http module with a pool, against the conformance server:
// node http_clients.js HOST PORT
'use strict';
const assert = require('assert');
const http = require('http');

const [host, port] = process.argv.slice(2);
const base = `http://${host}:${port}`;
const authorization = 'Basic ' + Buffer.from('admin:admin').toString('base64');
let passed = 0;
let failed = 0;

async function check(name, body) {
  try {
    await body();
    passed++;
    console.log('ok', name);
  } catch (error) {
    failed++;
    console.log('FAIL', name, String(error.message).split('\n')[0]);
  }
}

const call = (name, body, headers = {}, signal = undefined) =>
  fetch(`${base}/v1/call/${name}`, {
    method: 'POST', body: JSON.stringify(body), headers: { authorization, ...headers }, signal,
  });

async function main() {
  await check('fetch.call', async () => {
    const answer = await call('testfunc', { a: 3, b: 4 });
    assert.strictEqual(answer.status, 200);
    assert.deepStrictEqual(await answer.json(), { result: 7 });
  });
  await check('fetch.fault', async () => {
    const answer = await call('divide', [1, 0]);
    assert.strictEqual(answer.status, 500);
    assert.strictEqual((await answer.json()).error.kind, 'raised');
  });
  await check('fetch.stream', async () => {
    const answer = await call('testcorogen', [1, 2], { accept: 'application/x-ndjson' });
    let text = '';
    let chunks = 0;
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      chunks++;
    }
    assert.deepStrictEqual(text.trim().split('\n').map(Number), [...Array(10).keys()].map((i) => i + 3));
    assert.ok(chunks > 5, `all came in ${chunks} chunks`);
  });
  await check('fetch.abort', async () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    await assert.rejects(call('testcoro', [1, 2], {}, abort.signal), { name: 'AbortError' });
  });
  await check('http.agent_pool', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const ask = (number) => new Promise((resolve, reject) => {
      const request = http.request(`${base}/v1/call/echo`, { method: 'POST', agent, headers: { authorization } });
      request.on('error', reject).on('response', (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part) => (text += part));
        answer.on('end', () => resolve(JSON.parse(text).result));
      });
      request.end(JSON.stringify([number]));
    });
    const numbers = [...Array(100).keys()];
    assert.deepStrictEqual(await Promise.all(numbers.map(ask)), numbers);
    agent.destroy();
  });
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}

main();
