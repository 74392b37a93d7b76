/** What the upstreams of the deployment in pictures offer, and how it goes. */

export interface Tool {
  name: string;
  description: string;
  weight: number;
  /** Half of the calls are quicker. */
  medianMs: number;
  /** How far from the median calls stray: 0.3 is steady, 1 is wild. */
  spread: number;
  /** The share of calls that fail, and with what. */
  fails: number;
  failures: readonly string[];
  /** What the tool is called with. */
  arguments: object;
  /** About as long are its answers. */
  answerChars: number;
}

export interface Server {
  name: string;
  tools: readonly Tool[];
}

export const SERVERS: readonly Server[] = [
  {
    name: 'github',
    tools: [
      {
        name: 'search_code',
        description: 'Searches code in the repositories of an organisation.',
        weight: 22,
        medianMs: 240,
        spread: 0.6,
        fails: 0.02,
        failures: ['API rate limit exceeded for installation 51230477; resets in 14 min'],
        arguments: { query: 'retry budget language:rust', per_page: 20 },
        answerChars: 5_200,
      },
      {
        name: 'get_issue',
        description: 'Reads an issue with its comments.',
        weight: 15,
        medianMs: 110,
        spread: 0.4,
        fails: 0.015,
        failures: ['Not Found: acme/checkout#4182'],
        arguments: { owner: 'acme', repo: 'checkout', issue_number: 4127 },
        answerChars: 3_100,
      },
      {
        name: 'create_pull_request',
        description: 'Opens a pull request.',
        weight: 4,
        medianMs: 820,
        spread: 0.4,
        fails: 0.07,
        failures: [
          'Validation Failed: A pull request already exists for acme:fix/idle-timeout',
          'Validation Failed: No commits between main and chore/bump',
        ],
        arguments: { owner: 'acme', repo: 'checkout', head: 'fix/idle-timeout', base: 'main' },
        answerChars: 900,
      },
    ],
  },
  {
    name: 'warehouse',
    tools: [
      {
        name: 'run_query',
        description: 'Runs a read-only query.',
        weight: 18,
        medianMs: 420,
        spread: 1.1,
        fails: 0.06,
        failures: [
          'relation "orders_2025" does not exist at character 15',
          'canceling statement due to statement timeout',
          'column "custmer_id" does not exist; did you mean "customer_id"?',
        ],
        arguments: { sql: 'select region, sum(total) from orders group by region' },
        answerChars: 2_400,
      },
      {
        name: 'describe_table',
        description: 'Lists the columns of a table.',
        weight: 9,
        medianMs: 24,
        spread: 0.3,
        fails: 0.004,
        failures: ['permission denied for schema finance'],
        arguments: { table: 'orders' },
        answerChars: 1_300,
      },
    ],
  },
  {
    name: 'docs',
    tools: [
      {
        name: 'search_docs',
        description: 'Searches the documentation.',
        weight: 20,
        medianMs: 62,
        spread: 0.4,
        fails: 0.003,
        failures: ['the index is being rebuilt; try again in a minute'],
        arguments: { text: 'how are refunds booked' },
        answerChars: 4_000,
      },
      {
        name: 'fetch_page',
        description: 'Reads a page.',
        weight: 12,
        medianMs: 180,
        spread: 0.7,
        fails: 0.03,
        failures: ['upstream returned 502 Bad Gateway', 'page is larger than 2 MB'],
        arguments: { url: 'https://docs.acme.example/refunds' },
        answerChars: 9_000,
      },
    ],
  },
];
