import { describe, expect, it } from 'vitest';
import { cut } from './demo-screen.js';

describe('the status line of the demo', () => {
  it('is cut by what shows, and keeps its colours whole', () => {
    const text = '\x1b[2mabc\x1b[22m \x1b[32mlive\x1b[39m rest';
    expect(cut(text, 80)).toBe(text);
    expect(cut(text, 6)).toBe('\x1b[2mabc\x1b[22m \x1b[32mli\x1b[39m');
    expect(cut(text, 0)).toBe('\x1b[2m\x1b[22m\x1b[32m\x1b[39m');
  });
});
