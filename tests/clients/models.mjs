import { collect, connect, report } from './client.mjs';

const client = connect();

report({ list: await collect(client.models.list()), one: await client.models.retrieve('openfang:coder') });
