import { describe, expect, it } from 'vitest';
import { tensorFlowStatus } from '../../model/backends/tensorflow.js';
import { backendConformance } from './backends.js';

// Its install may have failed without npm saying so. Where it has to be there, GRUARD_REQUIRE_TENSORFLOW=1 makes its absence a failure.
const { available, detail } = tensorFlowStatus();

if (available) {
  backendConformance('tensorflow');
} else if (process.env.GRUARD_REQUIRE_TENSORFLOW === '1') {
  it('tensorflow is there', () => expect.unreachable(detail));
} else {
  describe.skip(`backend tensorflow, because ${detail}`, () => {
    it('is not tested', () => undefined);
  });
}
