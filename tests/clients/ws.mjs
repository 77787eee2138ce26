// graphql-ws, the reference client of graphql-transport-ws, and the protocol's cases one by one
// (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { bearer, expired, lasting } from './site.mjs';

const BOARD = 'subscription { boardChanged(board: {everything: WEEK}, first: 3) { asOf totalCount board { id } } }';

/** A socket that is spoken to by hand. */
class Wire {
  static async open(url, { headers = {}, protocol = 'graphql-transport-ws' } = {}) {
    const wire = new Wire();
    wire.socket = protocol ? new WebSocket(url, protocol, { headers }) : new WebSocket(url, { headers });
    wire.heard = [];
    wire.closed = new Promise(done => wire.socket.once('close', (code, reason) => done([code, String(reason)])));
    wire.socket.on('message', text => {
      const message = JSON.parse(text);
      wire.heard.push(message);
      wire.socket.emit(message.type, message);
    });
    await once(wire.socket, 'open');
    return wire;
  }

  static async greeted(url, payload, options) {
    const wire = await Wire.open(url, options);
    const greeted = wire.next('connection_ack');
    wire.send(payload === undefined ? { type: 'connection_init' } : { type: 'connection_init', payload });
    await greeted;
    return wire;
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async next(type) {
    const closed = this.closed.then(([code, reason]) => assert.fail(`closed with ${code} ${reason}, waiting for ${type}`));
    const [message] = await Promise.race([once(this.socket, type), closed]);
    return message;
  }

  ask(id, query) {
    this.send({ id, type: 'subscribe', payload: { query } });
  }
}

export default async function ({ check, site }) {
  const home = await site();
  const student = (await home.signIn('student3')).accessToken;
  const live = { authorization: `Bearer ${student}` };
  const retry = { retryAttempts: 3, retryWait: async () => {} };
  const over = options => createClient({ url: home.socket, webSocketImpl: WebSocket, ...retry, ...options });
  const ends = async (wire, code) => {
    const [seen, reason] = await wire.closed;
    assert.equal(seen, code, reason);
    return `${code} ${reason}`;
  };

  await check('the client asks a query, a mutation and a subscription', async () => {
    const client = over({ connectionParams: live });
    const one = async query => {
      for await (const result of client.iterate({ query })) return result;
    };
    assert.equal((await one('{ viewer { handle } }')).data.viewer.handle.length > 2, true);
    const renamed = await one('mutation { updateAccount(input: {hiddenFromBoards: false}) { errors { code } } }');
    assert.deepEqual(renamed.data.updateAccount.errors, []);
    assert.equal(typeof (await one(BOARD)).data.boardChanged.asOf, 'string');
    await client.dispose();
  });

  for (const [name, payload, options] of [
    ['no payload', undefined],
    ['null', null],
    ['an empty object', {}],
    ['other members', { 'x-app': 'a phone', nested: { a: [1] } }],
    ['authorization', live],
    ['Authorization', { Authorization: `Bearer ${student}` }],
    ['a header of the upgrade and no payload', undefined, { headers: bearer(student) }],
  ]) {
    await check(`connection_init with ${name} is acknowledged`, async () => {
      const wire = await Wire.greeted(home.socket, payload, options);
      wire.ask('1', '{ viewer { handle } }');
      const { payload: result } = await wire.next('next');
      const known = payload?.authorization || payload?.Authorization || options;
      if (known) assert.equal(typeof result.data.viewer.handle, 'string');
      else assert.equal(result.errors[0].extensions.code, 'UNAUTHENTICATED');
      if (!known) assert.deepEqual(result.data, { viewer: null });
      wire.socket.close();
    });
  }

  for (const [name, payload] of [
    ['a bad token', { authorization: 'Bearer nonsense' }],
    ['an expired token', { authorization: `Bearer ${expired(student)}` }],
    ['no bearer', { authorization: 'Basic YTpi' }],
    ['a number for a token', { authorization: 7 }],
  ]) {
    await check(`connection_init with ${name} closes with 4403 (15)`, async () => {
      const wire = await Wire.open(home.socket);
      wire.send({ type: 'connection_init', payload });
      return ends(wire, 4403);
    });
  }

  await check('an expired token in the header of the upgrade closes with 4403 (15)', async () => {
    const wire = await Wire.open(home.socket, { headers: bearer(expired(student)) });
    wire.send({ type: 'connection_init' });
    return ends(wire, 4403);
  });

  await check('the client gets a new token after a bad one and follows the board (15)', async () => {
    const given = [];
    const client = over({
      connectionParams: () => {
        given.push(given.length);
        return { authorization: `Bearer ${given.length > 1 ? student : expired(student)}` };
      },
    });
    for await (const result of client.iterate({ query: BOARD })) {
      assert.equal(typeof result.data.boardChanged.asOf, 'string');
      break;
    }
    assert.equal(given.length, 2);
    await client.dispose();
  });

  await check('a stream outlives the token that opened it', async () => {
    const wire = await Wire.greeted(home.socket, { authorization: `Bearer ${lasting(student, 2)}` });
    wire.ask('1', BOARD);
    await wire.next('next');
    await sleep(3500);
    wire.ask('2', '{ viewer { handle } }');
    const { payload } = await wire.next('next');
    assert.equal(typeof payload.data.viewer.handle, 'string');
    wire.socket.close();
  });

  await check('the end of the session ends the socket', async () => {
    const guest = (await home.signIn('student4')).accessToken;
    const wire = await Wire.greeted(home.socket, { authorization: `Bearer ${guest}` });
    wire.ask('1', BOARD);
    await wire.next('next');
    await home.ask('mutation { signOut { errors { code } } }', {}, guest);
    const [code, reason] = await wire.closed;
    assert.ok([4401, 4403].includes(code), `${code} ${reason}`);
    return `${code} ${reason}`;
  });

  await check('ping is answered by pong with its payload, before and after the acknowledgement', async () => {
    const wire = await Wire.open(home.socket);
    wire.send({ type: 'ping', payload: { now: 1 } });
    assert.deepEqual(await wire.next('pong'), { type: 'pong', payload: { now: 1 } });
    const greeted = wire.next('connection_ack');
    wire.send({ type: 'connection_init', payload: live });
    await greeted;
    wire.send({ type: 'ping' });
    assert.deepEqual(await wire.next('pong'), { type: 'pong' });
    wire.send({ type: 'pong', payload: { unasked: true } });
    wire.ask('1', '{ __typename }');
    assert.deepEqual((await wire.next('next')).payload.data, { __typename: 'Query' });
    wire.socket.close();
  });

  await check('the client keeps a connection alive with its own pings', async () => {
    const heard = [];
    const client = over({ connectionParams: live, keepAlive: 200, on: { pong: received => received && heard.push(received) } });
    const stop = client.subscribe({ query: BOARD }, { next() {}, error() {}, complete() {} });
    while (heard.length < 3) await sleep(100);
    stop();
    await client.dispose();
  });

  await check('a query ends with complete, and its id may be used again', async () => {
    const wire = await Wire.greeted(home.socket, live);
    for (let turn = 0; turn < 3; turn += 1) {
      const ended = wire.next('complete');
      wire.ask('same', '{ __typename }');
      assert.deepEqual(await ended, { id: 'same', type: 'complete' });
    }
    assert.equal(wire.heard.filter(({ type }) => type === 'next').length, 3);
    wire.socket.close();
  });

  await check('complete by the client ends a stream, and its id may be used again', async () => {
    const wire = await Wire.greeted(home.socket, live);
    for (let turn = 0; turn < 2; turn += 1) {
      const first = wire.next('next');
      wire.ask('1', BOARD);
      await first;
      wire.send({ id: '1', type: 'complete' });
      const pong = wire.next('pong');
      wire.send({ type: 'ping' });
      await pong;
    }
    assert.equal(wire.heard.filter(({ type }) => type === 'complete').length, 0);
    wire.socket.close();
  });

  await check('complete for an unknown id changes nothing', async () => {
    const wire = await Wire.greeted(home.socket, live);
    wire.send({ id: 'nobody', type: 'complete' });
    wire.ask('1', '{ __typename }');
    await wire.next('complete');
    wire.socket.close();
  });

  await check('a request that can not run is told by error and ends its id', async () => {
    const wire = await Wire.greeted(home.socket, live);
    for (const query of ['{ nobody }', '{ viewer {', 'query ($a: Int!) { __typename }']) {
      const told = wire.next('error');
      wire.ask('1', query);
      const { id, payload } = await told;
      assert.equal(id, '1');
      assert.ok(Array.isArray(payload) && payload[0].message.length > 0);
    }
    wire.socket.close();
  });

  await check('an id that is in use closes with 4409', async () => {
    const wire = await Wire.greeted(home.socket, live);
    const first = wire.next('next');
    wire.ask('1', BOARD);
    await first;
    wire.ask('1', BOARD);
    return ends(wire, 4409);
  });

  for (const [name, message] of [
    ['text that is no JSON', '{"type":'],
    ['a list', '[]'],
    ['an unknown type', { type: 'start', id: '1' }],
    ['no type', { id: '1' }],
    ['subscribe without an id', { type: 'subscribe', payload: { query: '{ __typename }' } }],
    ['subscribe with an empty id', { type: 'subscribe', id: '', payload: { query: '{ __typename }' } }],
    ['subscribe with a number for an id', { type: 'subscribe', id: 1, payload: { query: '{ __typename }' } }],
    ['subscribe without a payload', { type: 'subscribe', id: '1' }],
    ['complete without an id', { type: 'complete' }],
    ['a message of the server', { type: 'connection_ack' }],
  ]) {
    await check(`${name} closes with 4400`, async () => {
      const wire = await Wire.greeted(home.socket, live);
      wire.send(message);
      return ends(wire, 4400);
    });
  }

  await check('a binary frame closes with 4400', async () => {
    const wire = await Wire.open(home.socket);
    wire.socket.send(Buffer.from('{"type":"connection_init"}'), { binary: true });
    return ends(wire, 4400);
  });

  await check('subscribe before the acknowledgement closes with 4401', async () => {
    const wire = await Wire.open(home.socket);
    wire.ask('1', '{ __typename }');
    return ends(wire, 4401);
  });

  await check('no subprotocol, or another, closes with 4406 or is refused', async () => {
    const seen = [];
    for (const protocol of [null, 'graphql-ws', 'chat']) {
      const wire = await Wire.open(home.socket, { protocol }).catch(error => error);
      if (wire instanceof Wire) {
        const [code] = await wire.closed;
        assert.equal(code, 4406);
        seen.push(code);
      } else {
        assert.match(wire.message, /400|406|426|Unexpected server response|subprotocol/);
        seen.push(wire.message);
      }
    }
    return seen.join('; ');
  });

  await check('silence instead of connection_init closes with 4408', async () => ends(await Wire.open(home.socket), 4408));

  await check('a second connection_init closes with 4429', async () => {
    const wire = await Wire.greeted(home.socket, live);
    wire.send({ type: 'connection_init' });
    return ends(wire, 4429);
  });

  await check('two connection_inits at once close with 4429', async () => {
    const wire = await Wire.open(home.socket);
    wire.send({ type: 'connection_init', payload: live });
    wire.send({ type: 'connection_init', payload: live });
    return ends(wire, 4429);
  });

  await check('a field that failed is null here too (1)', async () => {
    const wire = await Wire.greeted(home.socket, live);
    wire.ask('1', '{ jobs(first: 1) { totalCount } viewer { id } }');
    const { payload } = await wire.next('next');
    assert.deepEqual(Object.keys(payload.data), ['jobs', 'viewer']);
    wire.socket.close();
  });
}
