/** Asks for the API token. It goes to the server once, which answers with a cookie that scripts cannot read. */
import { Button, PasswordInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { answerOf, api } from '@/api/call';
import { me } from '@/api/queries';
import { Failure } from '@/parts/answers';
import './login.css';

export function Login() {
  const client = useQueryClient();
  const [token, setToken] = useState('');
  const login = useMutation({
    mutationFn: () => answerOf(api.POST('/api/mcp/login', { body: { token: token.trim() } })),
    onSuccess: (who) => {
      setToken('');
      client.setQueryData(me.queryKey, who);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    login.mutate();
  };
  return (
    <main className="login">
      <title>Log in – Archon Sessions</title>
      <form className="login-form" onSubmit={submit}>
        <h1>Archon Sessions</h1>
        <p className="quiet">This API requires a token. Ask your operator for one.</p>
        <PasswordInput
          label="API token"
          size="sm"
          autoComplete="current-password"
          value={token}
          onChange={(event) => setToken(event.currentTarget.value)}
          required
          data-autofocus
        />
        {login.isError && <Failure error={login.error} />}
        <Button type="submit" size="sm" loading={login.isPending} disabled={token.trim() === ''}>
          Log in
        </Button>
      </form>
    </main>
  );
}
