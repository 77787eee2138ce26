import { useEffect, useState } from 'react';

/**
 * The token of an email's link. It stands behind `#`, which no server sees, and is taken out of the address at once. A link
 * that is opened where the page is already changes the address alone.
 */
export function useToken(): string | null {
  const [token, set] = useState(read);
  useEffect(() => {
    const take = () => {
      const found = read();
      if (!found) return;
      set(found);
      history.replaceState(history.state, '', location.pathname + location.search);
    };
    take();
    addEventListener('hashchange', take);
    return () => removeEventListener('hashchange', take);
  }, []);
  return token;
}

function read(): string | null {
  return new URLSearchParams(location.hash.slice(1)).get('token');
}
