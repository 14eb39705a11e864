import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/** A modal dialog of the browser's own: it keeps the focus within, closes on Escape and gives the focus back. */
export function Dialog({ open, title, children }: { open: Signal<boolean>; title: string; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const wanted = open.value;
  useEffect(() => {
    if (wanted && !dialog.current!.open) dialog.current!.showModal();
    if (!wanted && dialog.current!.open) dialog.current!.close();
  }, [wanted]);
  return (
    <dialog ref={dialog} aria-label={title} onClose={() => (open.value = false)} onClick={(event) => { if (event.target === dialog.current) open.value = false; }}>
      <div class="dialog-body">
        <div class="card-head"><h2>{title}</h2><button type="button" class="plain icon" onClick={() => (open.value = false)} aria-label="Close">✕</button></div>
        {wanted && children}
      </div>
    </dialog>
  );
}
