import { createRoot, hydrateRoot } from 'react-dom/client';
import { App } from './app';
import { makeClient } from './graph/client';
import './styles.css';

const root = document.getElementById('root');
if (!root) throw new Error('The page has no root');
const app = <App client={makeClient()} />;
if (root.hasChildNodes()) hydrateRoot(root, app);
else createRoot(root).render(app);
