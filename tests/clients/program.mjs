// A client in another language: a program that prints what it has tried, line by line, parted by tabs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const LONGEST = 120_000;

export async function told(tell, program, given, environment) {
  const child = spawn(program, given, {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LONGEST,
    killSignal: 'SIGKILL',
  });
  const ended = once(child, 'exit');
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, name, about] = line.split('\t');
    tell(word === 'ok', name, about);
    count += 1;
  }
  const [status, signal] = await ended;
  tell(status === 0 && count > 0, 'the program ends well', `${count} checks${signal ? `, ${signal}` : ''}`);
}
