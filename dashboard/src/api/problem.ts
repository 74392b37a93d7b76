/** An error as the API says it, `{detail, code, hint}`, or one of ours where no answer came. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, detail: string, hint: string) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.hint = hint;
  }

  /** Reads the body of an answer that is no success. Whatever stands in it, something can be said. */
  static fromBody(status: number, body: unknown): Problem {
    const said = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
    return new Problem(
      status,
      text(said['code']) ?? 'unexpected_answer',
      text(said['detail']) ?? `the server answered with status ${status}`,
      text(said['hint']) ?? '',
    );
  }

  /** No answer at all. */
  static unreachable(): Problem {
    return new Problem(
      0,
      'unreachable',
      'the server is not responding',
      'It may be restarting. This page retries automatically.',
    );
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Whether it is worth asking again without anybody changing anything. */
export function isPassing(error: unknown): boolean {
  return error instanceof Problem && (error.status === 0 || error.status === 429 || error.status >= 502);
}
