// How a v2 server pushes its events to a SignalR hub: one after the other, late rather than never, but not all of them.

import { HttpTransportType, HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";

const QUEUED = 500;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Pusher {
  // hub: the hub's URL.
  // group: the group that gets the events; all clients of the hub do without one.
  // retries: ms before each try to connect again; the last one is repeated.
  // limits: pairs [count, ms], at most so many sent events in so many ms.
  constructor({ hub, group, retries, limits }) {
    Object.assign(this, { group, limits });
    this.queue = [];
    this.sent = [];
    this.joined = false;
    this.sending = false;
    this._delay = (tries) => retries[Math.min(tries, retries.length - 1)];
    this.connection = new HubConnectionBuilder()
      .withUrl(hub, { transport: HttpTransportType.WebSockets })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: (past) => this._delay(past.previousRetryCount) })
      .configureLogging(LogLevel.None)
      .build();
    this.connection.onreconnecting(() => (this.joined = false));
    this.connection.onreconnected(() => this._join());
    // A hub may close the connection for good, which the automatic reconnect obeys.
    this.connection.onclose(() => this.start());
  }

  // The automatic reconnect does not cover a connection's start.
  async start() {
    this.joined = false;
    for (let tries = 0; ; tries++) {
      try {
        await this.connection.start();
        break;
      } catch {
        await sleep(this._delay(tries));
      }
    }
    await this._join();
  }

  push(event) {
    this.queue.push(event);
    if (this.queue.length > QUEUED) this.queue.shift();
    this._send();
  }

  async _join() {
    // Who sends to a group need not be in it: a hub that refuses gets the events all the same.
    if (this.group) await this.connection.invoke("JoinGroup", this.group).catch(() => {});
    this.joined = this.connection.state === HubConnectionState.Connected;
    this._send();
  }

  async _send() {
    if (this.sending) return;
    this.sending = true;
    while (this.joined && this.queue.length) {
      const wait = this._wait();
      if (wait > 0) await sleep(wait);
      else await this._deliver(this.queue[0]);
    }
    this.sending = false;
  }

  // Return for how many ms the limits allow no further event.
  _wait() {
    const now = performance.now();
    const free = ([count, ms]) => (this.sent.at(-count) ?? -Infinity) + ms - now;
    return Math.max(...this.limits.map(free));
  }

  async _deliver(event) {
    this.sent.push(performance.now());
    this.sent.splice(0, this.sent.length - Math.max(...this.limits.map(([count]) => count)));
    const [target, ...whom] = this.group ? ["SendToGroup", this.group] : ["BroadcastMessage"];
    try {
      await this.connection.invoke(target, ...whom, event);
    } catch {
      // It stays in the queue, and is sent again. A connection that has gone refuses at once, and says so later:
      // without a pause nothing else of this process would run until then, and so for ever.
      return sleep(1);
    }
    // A full queue may have dropped it meanwhile.
    if (this.queue[0] === event) this.queue.shift();
  }
}
