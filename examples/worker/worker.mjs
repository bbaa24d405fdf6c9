// A worker in JavaScript, without a package: it was written from docs/protocols/worker.md alone,
// and is where to begin in another language. In polyport.toml:
//
//     [workers]
//     command = ["node", "examples/worker/worker.mjs"]
import net from 'node:net';

// ---------------------------------------------------------------- what it serves

const number = (name) => ({ name, type: 'int' });

/** Each function has a call to work with, and its arguments. Generators give streams. */
const FUNCTIONS = {
  add: { params: [number('a'), number('b')], returns: 'int', help: 'The sum of two numbers.',
    run: (call, a, b) => BigInt(a) + BigInt(b) },
  echo: { params: [{ name: 'value' }], run: (call, value) => value },
  greet: { params: [{ name: 'name', type: 'text', default: 'world' }], returns: 'text',
    run: (call, name) => `Hello, ${name}! I am ${call.user}'s worker.` },
  count: { params: [number('n')], stream: true, help: 'The numbers up to n, one by one.',
    run: async function* (call, n) { for (let i = 1; i <= n; i++) yield i; } },
  wait: { params: [number('ms')], help: 'Waits; it can be cancelled, and does not hold up others.',
    run: (call, ms) => new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(ms), Number(ms));
      call.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        cancelled += 1;
        reject(new Fault('cancelled', 'nobody waits for it any more'));
      });
    }) },
  cancelled: { params: [], run: () => cancelled },
  twice: { params: [{ name: 'name', type: 'text' }, number('n')],
    help: "Calls another function of the server's, and that with the result once more.",
    run: async (call, name, n) => call.call(name, await call.call(name, n, n), 0) },
  sum_of: { params: [{ name: 'name', type: 'text' }, number('n')],
    help: "Adds up the items of another function's stream.",
    run: async (call, name, n) => {
      let sum = 0;
      for await (const item of await call.call(name, n)) sum += Number(item);
      return sum;
    } },
  forget: { params: [{ name: 'name', type: 'text' }, number('n')],
    help: 'Calls another function and does not wait for it; it ends with this call.',
    run: (call, name, n) => { call.call(name, n).catch(() => { cancelled += 1; }); } },
  block: { params: [number('ms')], help: 'Holds up all other calls of its worker.',
    run: (call, ms) => {
      const end = Date.now() + Number(ms);
      while (Date.now() < end);
      return process.pid;
    } },
  fail: { params: [{ name: 'text', type: 'text' }],
    run: (call, text) => { throw new RangeError(text); } },
};
let cancelled = 0;

// ---------------------------------------------------------------- values

/** An extension that JavaScript has no value for, such as a decimal. It goes back as it came. */
class Extension {
  constructor(type, data) { Object.assign(this, { type, data }); }
}

/** A failure that is more than its text. */
class Fault extends Error {
  constructor(kind, message) { super(message); this.kind = kind; }
}

function pack(value, out = []) {
  const head = (code, size, n) => {
    const bytes = Buffer.alloc(1 + size);
    bytes[0] = code;
    if (size === 8) bytes.writeBigUInt64BE(n, 1); else if (size) bytes.writeUIntBE(n, 1, size);
    out.push(bytes);
  };
  const sized = (codes, length) => {
    const at = length < 0x100 && codes[0] ? 0 : length < 0x10000 ? 1 : 2;
    head(codes[at], 1 << at, length);
  };
  if (value === null || value === undefined) head(0xc0, 0);
  else if (typeof value === 'boolean') head(value ? 0xc3 : 0xc2, 0);
  else if (typeof value === 'bigint' || Number.isSafeInteger(value)) {
    const n = BigInt(value);
    if (n >= 0n && n < 0x80n) head(Number(n), 0);
    else if (n >= 0n && n < 1n << 64n) head(0xcf, 8, n);
    else if (n < 0n && n >= -(1n << 63n)) head(0xd3, 8, BigInt.asUintN(64, n));
    else {
      let length = 1;
      while (BigInt.asIntN(length * 8, n) !== n) length += 1;
      const hex = BigInt.asUintN(length * 8, n).toString(16).padStart(length * 2, '0');
      pack(new Extension(1, Buffer.from(hex, 'hex')), out);
    }
  } else if (typeof value === 'number') {
    head(0xcb, 8, Buffer.from(new Float64Array([value]).buffer).readBigUInt64LE());
  } else if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    sized([0xd9, 0xda, 0xdb], bytes.length);
    out.push(bytes);
  } else if (value instanceof Uint8Array) {
    sized([0xc4, 0xc5, 0xc6], value.length);
    out.push(value);
  } else if (value instanceof Extension) {
    sized([0xc7, 0xc8, 0xc9], value.data.length);
    out.push(Buffer.of(value.type), value.data);
  } else if (Array.isArray(value)) {
    sized([0, 0xdc, 0xdd], value.length);
    for (const item of value) pack(item, out);
  } else if (value instanceof Map || Object.getPrototypeOf(value) === Object.prototype) {
    const pairs = value instanceof Map ? [...value] : Object.entries(value);
    sized([0, 0xde, 0xdf], pairs.length);
    for (const pair of pairs) for (const part of pair) pack(part, out);
  } else throw new TypeError(`a ${value.constructor?.name ?? typeof value} cannot be sent`);
  return out;
}

/** Reads one value. Integers that a number cannot hold become a BigInt. */
class Reader {
  constructor(bytes) { this.bytes = bytes; this.at = 0; }

  take(length) {
    if (this.at + length > this.bytes.length) throw new RangeError('a frame ends within a value');
    return this.bytes.subarray(this.at, this.at += length);
  }

  uint(size) {
    const bytes = this.take(size);
    return size === 8 ? small(bytes.readBigUInt64BE()) : bytes.readUIntBE(0, size);
  }

  list(length) { return Array.from({ length }, () => this.value()); }

  map(length) { return new Map(Array.from({ length }, () => [this.value(), this.value()])); }

  extension(length) { return new Extension(this.take(1)[0], this.take(length)); }

  value() {
    const code = this.uint(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.map(code & 15);
    if (code < 0xa0) return this.list(code & 15);
    if (code < 0xc0) return this.take(code & 31).toString();
    if (code >= 0xe0) return code - 0x100;
    const size = 1 << (code & 3);
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return Buffer.from(this.take(this.uint(size)));
      case 0xc7: case 0xc8: case 0xc9: return this.extension(this.uint(1 << (code - 0xc7)));
      case 0xca: return this.take(4).readFloatBE();
      case 0xcb: return this.take(8).readDoubleBE();
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return this.uint(size);
      case 0xd0: case 0xd1: case 0xd2: return this.take(size).readIntBE(0, size);
      case 0xd3: return small(this.take(8).readBigInt64BE());
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
        return this.extension(1 << (code - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return this.take(this.uint(1 << (code - 0xd9))).toString();
      case 0xdc: case 0xdd: return this.list(this.uint(2 << (code - 0xdc)));
      case 0xde: case 0xdf: return this.map(this.uint(2 << (code - 0xde)));
      default: throw new RangeError(`there is no value that begins with ${code}`);
    }
  }
}

const small = (big) => (Number.isSafeInteger(Number(big)) ? Number(big) : big);

// ---------------------------------------------------------------- frames

const [HELLO, WELCOME, CALL, STREAM, ITEM, DONE, FAIL, CANCEL, CREDIT, PING, PONG, DRAIN] =
  Array(12).keys();
const FIRST_CREDIT = 16;

const socket = new net.Socket({ fd: 0 });
let messageBytes = 0xffffffff;
let [chunks, have, need] = [[], 0, 5];

function send(frame) {
  const body = Buffer.concat(pack(frame));
  if (body.length > messageBytes) throw new Fault('too_large', `a frame of ${body.length} bytes`);
  const head = Buffer.of(0xce, 0, 0, 0, 0);
  head.writeUInt32BE(body.length, 1);
  socket.write(Buffer.concat([head, body]));
}

function receive(bytes) {
  chunks.push(bytes);
  have += bytes.length;
  // Put together only when a whole frame is there, or a long one would be copied over and over.
  if (have < need) return;
  let input = Buffer.concat(chunks);
  need = 5;
  while (input.length >= 5) {
    need = 5 + input.readUInt32BE(1);
    if (input.length < need) break;
    const frame = new Reader(input.subarray(5, need)).value();
    input = input.subarray(need);
    need = 5;
    on[frame[0]]?.(...frame.slice(1));
  }
  [chunks, have] = [[input], input.length];
}

// ---------------------------------------------------------------- calls

const running = new Map();
const asked = new Map();
let lastId = 0;
let draining = false;

/** A call that is being served. */
class Call {
  constructor(id, [session, user, protocol, peer, leftMs, chain, depth]) {
    Object.assign(this, { id, session, user, protocol, peer, leftMs, chain, depth });
    this.abort = new AbortController();
    this.signal = this.abort.signal;
    this.credit = FIRST_CREDIT;
    this.wake = () => {};
  }

  /** Calls a function of the server's: gives its result, or a stream as an async generator. */
  call(name, ...args) {
    const id = ++lastId;
    return new Promise((resolve, reject) => {
      asked.set(id, { resolve, reject, items: [], wake: () => {} });
      send([CALL, id, name, args, null, [this.id, null]]);
    });
  }
}

async function* items(id, stream) {
  try {
    for (;;) {
      while (!stream.items.length && !stream.end) await new Promise((wake) => (stream.wake = wake));
      if (stream.items.length) {
        yield stream.items.shift();
        if (!stream.end) send([CREDIT, id, 1]);
      } else if (stream.error) throw stream.error;
      else return;
    }
  } finally {
    if (!stream.end) send([CANCEL, id]);
    asked.delete(id);
  }
}

async function serve(call, fn, args) {
  try {
    const result = await fn.run(call, ...args);
    if (fn.stream) await serveStream(call, result);
    else send([DONE, call.id, result]);
  } catch (error) {
    send([FAIL, call.id, {
      kind: error.kind ?? 'raised', message: String(error.message), class: error.constructor.name,
      trace: String(error.stack), ran: 'yes',
    }]);
  }
  running.delete(call.id);
  leaveIfDone();
}

async function serveStream(call, generator) {
  send([STREAM, call.id, null]);
  for await (const item of generator) {
    while (call.credit === 0 && !call.signal.aborted) {
      await new Promise((wake) => (call.wake = wake));
    }
    if (call.signal.aborted) throw new Fault('cancelled', 'the stream was cancelled');
    call.credit -= 1;
    send([ITEM, call.id, item]);
  }
  send([DONE, call.id, null]);
}

function leaveIfDone() {
  if (draining && running.size === 0) socket.end(() => process.exit(0));
}

const finish = (id, end) => {
  const pending = asked.get(id);
  if (!pending) return;
  pending.end = true;
  end(pending);
  pending.wake();
  if (!pending.streams) asked.delete(id);
};

const on = {
  [WELCOME]: (settings) => { messageBytes = settings.get('message_bytes'); },
  [CALL]: (id, name, args, named, context) => {
    const call = new Call(id, context);
    running.set(id, call);
    serve(call, FUNCTIONS[name], args);
  },
  [CANCEL]: (id) => { running.get(id)?.abort.abort(); running.get(id)?.wake(); },
  [CREDIT]: (id, count) => {
    const call = running.get(id);
    if (call) { call.credit += count; call.wake(); }
  },
  [STREAM]: (id) => {
    const pending = asked.get(id);
    if (pending) { pending.streams = true; pending.resolve(items(id, pending)); }
  },
  [ITEM]: (id, value) => { asked.get(id)?.items.push(value); asked.get(id)?.wake(); },
  [DONE]: (id, reply) => finish(id, (pending) => pending.resolve(reply)),
  [FAIL]: (id, fault) => finish(id, (pending) => {
    pending.error = new Fault(fault.get('kind'), fault.get('message'));
    pending.reject(pending.error);
  }),
  [PING]: (n) => send([PONG, n]),
  [DRAIN]: () => { draining = true; leaveIfDone(); },
};

if (process.env.POLYPORT_WORKER !== '1') {
  console.error('The server starts this program; see docs/protocols/worker.md.');
  process.exit(2);
}
socket.on('data', receive).on('close', () => process.exit(0)).on('error', () => process.exit(0));
send([HELLO, {
  protocol: 1,
  runtime: `Node.js ${process.versions.node}`,
  functions: Object.entries(FUNCTIONS)
    .map(([name, { run, ...about }]) => ({ name, pool: 'node', ...about })),
  pools: { node: { concurrency: 100 } },
  files: [new URL(import.meta.url).pathname],
}]);
