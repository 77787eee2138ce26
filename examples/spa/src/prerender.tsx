// The landing as text, for the build.
import { renderToString } from 'react-dom/server';
import { App } from './app';
import { makeClient } from './graph/client';
import { paths } from './routes';

export function landing(): string {
  return renderToString(<App client={makeClient()} path={paths.landing} />);
}
