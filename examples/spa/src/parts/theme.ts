import { useEffect, useState } from 'react';

export type Theme = 'auto' | 'light' | 'dark';
const KEPT = 'theme';

/** Dark or light: as the device prefers, unless chosen here. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, set] = useState<Theme>('auto');
  useEffect(() => {
    try {
      const kept = localStorage.getItem(KEPT);
      if (kept === 'light' || kept === 'dark') apply(kept);
    } catch {
      // Storage may be forbidden.
    }
  }, []);
  const apply = (wanted: Theme) => {
    if (wanted === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = wanted;
    set(wanted);
  };
  return [
    theme,
    wanted => {
      try {
        if (wanted === 'auto') localStorage.removeItem(KEPT);
        else localStorage.setItem(KEPT, wanted);
      } catch {
        // It holds for this page.
      }
      apply(wanted);
    },
  ];
}
