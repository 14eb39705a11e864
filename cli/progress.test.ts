import { expect, it } from 'vitest';
import { Progress } from './progress.js';

function screen(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  let written = '';
  return { stream: { isTTY, columns: 80, write: (text: string) => { written += text; return true; } } as unknown as NodeJS.WriteStream, text: () => written };
}

it('draws one line on a terminal, within its width, and leaves nothing behind', () => {
  const { stream, text } = screen(true);
  const progress = new Progress('copying', stream);
  progress.update(0, 'x'.repeat(200));
  progress.update(1, '5 rows');
  progress.end();
  const lines = text().split('\r\u001b[2K');
  expect(lines).toHaveLength(4);
  expect(lines[1]).toHaveLength(79);
  expect(lines[2]).toContain('100 %  5 rows');
  expect(lines[3]).toBe('\u001b[?25h');
  expect(text()).not.toContain('\n');
});

it('writes nothing where there is no terminal', () => {
  const { stream, text } = screen(false);
  const progress = new Progress('copying', stream);
  progress.update(0.5, '');
  progress.end();
  expect(text()).toBe('');
});
