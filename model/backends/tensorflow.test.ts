import { expect, it, vi } from 'vitest';
import { initialise } from '../network.js';
import { openBackend } from './index.js';
import { tensorFlowStatus } from './tensorflow.js';

// As an installation is whose download of TensorFlow failed: npm says nothing, and the package is not there.
vi.mock('node:module', () => ({
  createRequire: () => () => {
    throw new Error("Cannot find module '@tensorflow/tfjs-node'\nRequire stack:\n- somewhere");
  },
}));

const network = initialise(
  { features: 'test', inputs: 2, layers: [{ cell: 'gru', units: 4 }], head: { outputs: 1, skip: true }, horizons: [1] }, 1);

it('says that TensorFlow is missing and how to get it, and leaves the other backends', async () => {
  await expect(openBackend('tensorflow', network)).rejects.toMatchObject({
    code: 'BACKEND_UNAVAILABLE', message: expect.stringMatching(/Cannot find module '@tensorflow\/tfjs-node'\); `npm run build:tensorflow`/) as string,
  });
  expect(tensorFlowStatus()).toMatchObject({ available: false });
  expect((await openBackend('wasm', network)).name).toBe('wasm');
});
