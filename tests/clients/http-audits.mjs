// Every published audit of npm graphql-http against the HTTP door. A warning counts as a failure: the SHOULDs are what
// clients rely on.

import assert from 'node:assert/strict';
import { serverAudits } from 'graphql-http';
import { httpUrl, suite } from './lib.mjs';

const PUBLISHED = 61;

await suite('http-audits', async (check) => {
  const audits = serverAudits({ url: httpUrl });

  for (const audit of audits) {
    await check(`${audit.id} ${audit.name}`, async () => {
      const result = await audit.fn();
      const { status, headers } = result.response ?? {};
      assert.equal(result.status, 'ok', `${result.reason} (HTTP ${status}, ${headers?.get('content-type')})`);
    });
  }

  // An update of the package that drops or adds audits should be noticed, not slip by.
  await check(`all ${PUBLISHED} audits ran`, () => assert.equal(audits.length, PUBLISHED));
});
