/** How long an update waits where no frames are drawn, such as in a hidden tab, in milliseconds. */
const longestMs = 100;

const { requestAnimationFrame, cancelAnimationFrame } = globalThis as {
  requestAnimationFrame?: (callback: () => void) => number;
  cancelAnimationFrame?: (frame: number) => void;
};

const updates = new Set<() => void>();
let frame: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

function runAll(): void {
  clearTimeout(timer);
  if (frame !== undefined) cancelAnimationFrame?.(frame);
  const due = [...updates];
  updates.clear();
  for (const update of due) update();
}

/** Runs an update before the next frame is drawn, and with all others that are due then: React renders them at once. */
export function beforeNextFrame(update: () => void): void {
  if (updates.size === 0) {
    frame = requestAnimationFrame?.(runAll);
    timer = setTimeout(runAll, longestMs);
  }
  updates.add(update);
}
