/** What to paste into each client, with this deployment's address in it. */
import { Select, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { config } from '@/api/queries';
import type { ServiceConfig } from '@/api/types';
import { Answer } from '@/parts/answers';
import { ClientMark } from '@/parts/client-mark';
import { CopyButtonFor } from '@/parts/copy-text';
import { PageHead, Panel } from '@/parts/panel';
import { newKeys, snippetsFor } from './snippets';
import './connect.css';

export function Connect() {
  const query = useQuery(config);
  return (
    <>
      <PageHead name="Connect a client" />
      <Answer query={query} rows={8}>
        {(settings) => <Snippets settings={settings} />}
      </Answer>
    </>
  );
}

function Snippets({ settings }: { settings: ServiceConfig }) {
  const [origin, setOrigin] = useState(() => mcpOrigin(window.location, settings.port));
  const [path, setPath] = useState(settings.path);
  const [keyOf] = useState(newKeys);
  const [chosen, setChosen] = useState('ClaudeCode');
  const address = origin.replace(/\/+$/, '');
  const server = path === settings.path ? 'archon' : (path.split('/').at(-1) ?? 'archon');
  const snippets = snippetsFor(address + path, server, keyOf);
  const snippet = snippets.find(({ agent }) => agent === chosen) ?? snippets[0];
  return (
    <>
      <Panel title="Endpoint" aside="where clients reach this gateway">
        <div className="connect-endpoint">
          <TextInput
            label="Address"
            description="As clients see it: behind a proxy it is another one"
            value={origin}
            onChange={(event) => setOrigin(event.currentTarget.value)}
            spellCheck={false}
          />
          <Select
            label="Server"
            description={`The first one is also at ${settings.path}`}
            data={[
              { value: settings.path, label: `default (${settings.path})` },
              ...settings.upstreams.map((upstream) => ({
                value: upstream.path,
                label: `${upstream.name} (${upstream.path})`,
              })),
            ]}
            value={path}
            onChange={(value) => setPath(value ?? settings.path)}
            allowDeselect={false}
          />
        </div>
      </Panel>
      <div className="connect">
        <nav className="connect-agents" aria-label="Clients">
          {snippets.map(({ agent, name }) => (
            <button
              key={agent}
              type="button"
              className="connect-agent"
              aria-pressed={agent === snippet?.agent}
              onClick={() => setChosen(agent)}
            >
              <ClientMark type={name} />
              {name}
            </button>
          ))}
        </nav>
        {snippet && (
          <Panel title={snippet.name} aside={<CopyButtonFor text={snippet.text} />}>
            <p className="connect-place">{withCode(snippet.place)}</p>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways must be reached by keyboard */}
            <section className="connect-text" tabIndex={0} aria-label={`For ${snippet.name}`}>
              <pre>{snippet.text}</pre>
            </section>
          </Panel>
        )}
      </div>
    </>
  );
}

/** What stands between backticks is code. */
function withCode(text: string): ReactNode[] {
  return text.split('`').map((part, n) => (n % 2 === 1 ? <code key={part}>{part}</code> : part));
}

/** The MCP port on the host that this page came from. */
export function mcpOrigin(
  { protocol, hostname }: { protocol: string; hostname: string },
  port: number,
): string {
  return `${protocol}//${hostname}:${port}`;
}
