import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with one plain line of counts, and names what was skipped, so that a skipped integration test is seen. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const skipped = new Set<string>();
    for (const module of modules) {
      // A file that cannot be loaded has no tests: it counts as one that failed.
      if (module.state() === 'failed' && [...module.children.allTests()].length === 0) counts.failed++;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        if (state === 'passed') counts.passed++;
        else if (state === 'failed') counts.failed++;
        else {
          counts.skipped++;
          skipped.add(`${module.relativeModuleId}: ${test.fullName}`);
        }
      }
    }
    for (const name of skipped) console.log(`skipped: ${name}`);
    console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  }
}
