/** Starts the dashboard. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { makeClient } from './api/client';
import { App } from './app';
import { makeRouter } from './routes';
import './style/mantine.css';
import './style/tokens.css';
import './style/page.css';

const root = document.getElementById('root');

if (root) {
  createRoot(root).render(
    <StrictMode>
      <App client={makeClient()} router={makeRouter()} />
    </StrictMode>,
  );
}
