import type { CodegenConfig } from '@graphql-codegen/cli';

// Everything that the web app asks stands in operations/web/student; nothing is written in its code.
const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: '../../operations/web/student/*.graphql',
  generates: {
    'src/graph/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: {
          ID: 'string',
          Date: 'string',
          DateTime: 'string',
          Decimal: 'string',
          EmailAddress: 'string',
          Handle: 'string',
          IdempotencyKey: 'string',
          JSON: 'unknown',
          Markdown: 'string',
          Password: 'string',
          PictureUrl: 'string',
          Reason: 'string',
          SearchText: 'string',
          Upload: 'File',
        },
      },
    },
    'src/graph/generated/possible-types.ts': {
      plugins: ['fragment-matcher'],
      config: { useExplicitTyping: true },
    },
  },
};

export default config;
