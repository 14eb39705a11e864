import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Stages that may not know of each other: what they share is in core. */
const STAGES = ['ingest', 'model', 'store', 'alert', 'api', 'dashboards'];

/** Dependencies run one way: core <- config <- stages <- pipeline and service <- cli. */
const directions = [
  forbid(['core/**/*.ts'], ['config', ...STAGES, 'cli']),
  forbid(['config/**/*.ts'], [...STAGES, 'cli']),
  ...STAGES.map((stage) => forbid([`${stage}/**/*.ts`], [...STAGES.filter((other) => other !== stage), 'cli'], [`${stage}/**/*.test.ts`])),
];

function forbid(files, folders, ignores = []) {
  const up = ['../', '../../', '../../../'];
  return {
    files,
    ignores,
    rules: {
      'no-restricted-imports': ['error', {
        patterns: [{
          group: folders.flatMap((folder) => up.map((prefix) => `${prefix}${folder}/**`)),
          message: 'Stages share interfaces through core/ and are joined in pipeline.ts.',
        }],
      }],
    },
  };
}

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'api/page/**/*.d.ts', 'coverage/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['bin/*.js', 'eslint.config.js'] }, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/require-await': 'off',
      'no-restricted-properties': ['error',
        { object: 'Date', property: 'now', message: 'Time comes from core/clock.ts.' },
        { object: 'Math', property: 'random', message: 'Randomness comes from core/random.ts.' },
        { object: 'process', property: 'env', message: 'The environment is read in config/ only.' }],
    },
  },
  { files: ['core/clock.ts', 'config/environment.ts', 'bench/**', 'test/**', '**/*.test.ts', 'scripts/**', 'api/page/**'], rules: { 'no-restricted-properties': 'off' } },
  {
    // Answers of the API and of matchers are `any` until a test has looked at them.
    files: ['**/*.test.ts', 'test/**'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/no-unsafe-member-access': 'off', '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off', '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  { files: ['bin/*.js', 'eslint.config.js'], extends: [tseslint.configs.disableTypeChecked], languageOptions: { globals: { console: 'readonly', process: 'readonly', URL: 'readonly' } } },
  ...directions,
);
