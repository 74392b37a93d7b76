/** An authorization server's two parts that a gateway needs: its key, and tokens that it signed. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Person } from './people.ts';

export class Issuer {
  readonly #http: Server;
  readonly #key: KeyObject;

  private constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'demo', alg: 'ES256', use: 'sig' };
    this.#key = privateKey;
    this.#http = createServer((_, response) => {
      response
        .writeHead(200, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ issuer: this.url, jwks_uri: this.keys, keys: [jwk] }));
    });
  }

  static async start(): Promise<Issuer> {
    const issuer = new Issuer();
    await new Promise<void>((resolve) => issuer.#http.listen(0, '127.0.0.1', resolve));
    return issuer;
  }

  /** What its tokens say they are of. */
  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Where its keys are. */
  get keys(): string {
    return `${this.url}/jwks`;
  }

  /** A token that says who somebody is, good for a day. */
  token({ name, email }: Person): string {
    const said = {
      iss: this.url,
      sub: email.split('@')[0],
      aud: 'mcp',
      exp: Math.floor(Date.now() / 1_000) + 86_400,
      email,
      email_verified: true,
      name,
    };
    const body = [{ alg: 'ES256', kid: 'demo', typ: 'JWT' }, said].map(encoded).join('.');
    const signature = sign('sha256', Buffer.from(body), { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return `${body}.${signature.toString('base64url')}`;
  }

  async end(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
