// Rust's graphql_client: the crate in rust/, which `run` has built.
import { told } from './program.mjs';
import { PASSWORD, ROOT } from './site.mjs';

export default async function ({ site, tell }) {
  const home = await site();
  const token = (await home.signIn('student11')).accessToken;
  const program = process.env.CLIENTS_RUST ?? `${ROOT}target/clients-rust/debug/marmalade-client-check`;
  await told(tell, program, [], { URL: home.url, TOKEN: token, EMAIL: 'student11@demo.example', PASSWORD });
}
