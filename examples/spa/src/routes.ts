// One list of paths for the app and for the server, which answers each of them with the app's page.
import routes from './routes.json';

export const paths = routes;

export const to = {
  quiz: (id: string) => `/quizzes/${id}`,
  attempt: (id: string) => `/attempts/${id}`,
  signIn: (next?: string) => (next ? `/sign-in?next=${encodeURIComponent(next)}` : '/sign-in'),
};

/** A path within the app, from an address that anybody may have written. */
export function within(next: string | null): string {
  if (!next?.startsWith('/')) return paths.catalogue;
  const url = new URL(next, location.origin);
  return url.origin === location.origin ? url.pathname + url.search : paths.catalogue;
}
