import { useEffect, useState } from 'react';

/** The token of an email's link. It stands behind `#`, which no server sees, and is taken out of the address at once. */
export function useToken(): string | null {
  const [token] = useState(() => new URLSearchParams(location.hash.slice(1)).get('token'));
  useEffect(() => {
    if (location.hash) history.replaceState(history.state, '', location.pathname + location.search);
  }, []);
  return token;
}
