import { signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';
const KEY = 'gruard.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

const stored = localStorage.getItem(KEY);
export const theme = signal<Theme>(stored === 'light' || stored === 'dark' ? stored : 'auto');
/** What is in force; charts are drawn anew when it changes. */
export const isDark = signal(false);

theme.subscribe((value) => {
  if (value === 'auto') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, value);
  document.documentElement.dataset.theme = value;
  apply();
});
dark.addEventListener('change', apply);

function apply(): void {
  isDark.value = theme.value === 'auto' ? dark.matches : theme.value === 'dark';
}

/** To the opposite of what is shown, and back to the system's choice where that is the same. */
export function toggleTheme(): void {
  const wanted = isDark.value ? 'light' : 'dark';
  theme.value = (wanted === 'dark') === dark.matches ? 'auto' : wanted;
}
