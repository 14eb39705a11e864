const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A text that stands for a number or a state; undefined for any other text. */
export function textValue(text: string): number | undefined {
  if (text.length > 40) return undefined;
  if (NUMBER.test(text)) return Number(text);
  switch (text.toLowerCase()) {
    case 'true':
    case 'on':
      return 1;
    case 'false':
    case 'off':
      return 0;
    case 'nan':
      return NaN;
    case 'inf':
    case '+inf':
    case 'infinity':
      return Infinity;
    case '-inf':
    case '-infinity':
      return -Infinity;
    default:
      return undefined;
  }
}
