import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `npm run dev` serves the sources and sends what is for the API to a server beside it.
const server = process.env.MARMALADE_URL ?? 'http://localhost:8080';

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: '.build/client',
    target: 'es2022',
    // Nothing is inlined: the policy of the page allows what has an address of ours.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    host: 'localhost',
    proxy: {
      '/graphql': { target: server, ws: true, changeOrigin: true },
      '/auth': { target: server, changeOrigin: true },
    },
  },
});
