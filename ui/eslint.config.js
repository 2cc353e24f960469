import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';

import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist/', 'node_modules/', 'src/worker/wasm/', 'src/link/protocol.gen.ts'] },
  ...ts.configs.strictTypeChecked,
  ...ts.configs.stylisticTypeChecked,
  ...svelte.configs.recommended,
  {
    languageOptions: {
      globals: { ...globals.browser },
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js', 'svelte.config.js'] },
        tsconfigRootDir: import.meta.dirname,
        extraFileExtensions: ['.svelte'],
      },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      'max-lines': ['error', { max: 400, skipBlankLines: false, skipComments: false }],
      // A link's door: nothing else may know how Tauri is spoken to.
      'no-restricted-imports': ['error', { patterns: ['@tauri-apps/*'] }],
      // Everything a model writes is untrusted: no component may turn it into markup.
      'svelte/no-at-html-tags': 'error',
      // A style attribute would be refused by the content security policy.
      'svelte/no-inline-styles': 'error',
    },
  },
  { files: ['src/link/native.ts', 'src/link/native.test.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: {
      parserOptions: { parser: ts.parser, projectService: true, extraFileExtensions: ['.svelte'], svelteConfig },
    },
  },
  { files: ['**/*.js'], ...ts.configs.disableTypeChecked },
);
