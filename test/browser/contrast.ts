import type { Page } from 'playwright-core';

/** WCAG 2.2, 1.4.3 (AA). */
const LEAST = 4.5;

/** Text that is harder to read than AA allows: its contrast, class and first words. Runs in the page, hence a string. */
export async function tooFaint(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
    const luminance = (color) => {
      const [r, g, b] = color.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = (element) => (element ? over(rgba(getComputedStyle(element).backgroundColor), background(element.parentElement)) : [255, 255, 255]);
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      if (texts.currentNode.data.trim() === '' || !element.offsetParent || element.closest('.hidden')) continue;
      const behind = background(element);
      const [x, y] = [luminance(over(rgba(getComputedStyle(element).color), behind)), luminance(behind)];
      const contrast = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
      if (contrast < ${LEAST}) faint.push(contrast.toFixed(2) + ' ' + element.className + ': ' + texts.currentNode.data.slice(0, 40));
    }
    return faint;
  })()`);
}
