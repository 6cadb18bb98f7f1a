// The AWS SDK for JavaScript: its credential provider and its metadata client, as they come.
//
//   node imds.mjs TOOLS      (TOOLS: the folder whose node_modules holds them)
//
// Asked as credpin_e2e::imds_client tells.

import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

// Node looks for a module beside the file that asks for it. Ours lies elsewhere.
const require = createRequire(resolve(process.argv[2], 'package.json'))
const { fromInstanceMetadata } = require('@smithy/credential-provider-imds')
const { MetadataService } = require('@aws-sdk/ec2-metadata-service')

const credentials = fromInstanceMetadata()
const metadata = new MetadataService({})
// It drops the port of an endpoint that it is told: only at the usual address does it find anything.
const readsMetadata = !process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT

async function look() {
  const found = await credentials()
  return {
    credentials: {
      access_key_id: found.accessKeyId,
      secret_access_key: found.secretAccessKey,
      token: found.sessionToken,
    },
    region: readsMetadata ? await metadata.request('/latest/meta-data/placement/region', {}) : null,
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id } = JSON.parse(line)
  const answer = await look().catch((error) => ({ error: `${error.name}: ${error.message}` }))
  console.log(JSON.stringify({ id, ...answer }))
}
