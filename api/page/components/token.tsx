import { useState } from 'preact/hooks';
import { setToken } from '../client.js';

/** Asked for when the API wants one; kept for this tab only. */
export function TokenForm({ detail }: { detail: string }) {
  const [token, set] = useState('');
  const submit = (event: Event): void => {
    event.preventDefault();
    if (token.trim() !== '') setToken(token.trim());
  };
  return (
    <main class="token" id="main" tabIndex={-1}>
      <form class="card" onSubmit={submit}>
        <h1>This gruard asks for a token</h1>
        <p>It was set by whoever runs it (<code>api.token_file</code>). It stays in this tab and is forgotten when the tab is closed.</p>
        {detail !== '' && <p class="problem" role="alert">{detail}</p>}
        <label>Token<input type="password" autocomplete="off" value={token} onInput={(e) => set(e.currentTarget.value)} /></label>
        <button type="submit" class="primary">Open</button>
      </form>
    </main>
  );
}
