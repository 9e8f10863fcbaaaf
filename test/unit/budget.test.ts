import { describe, expect, test, vi } from "vitest";
import { Budget, PieceBudget } from "../../src/budget.ts";

/** Burns processor time, and so also time on the clock. */
function work(milliseconds: number): void {
  const { user, system } = process.cpuUsage();
  const spent = () => {
    const now = process.cpuUsage();
    return (now.user + now.system - user - system) / 1000;
  };
  while (spent() < milliseconds);
}

describe("a budget", () => {
  test("of attempts is spent by the one after the last", () => {
    const budget = new Budget({ attempts: 2 });
    expect([budget.take(), budget.take(), budget.take()]).toEqual([true, true, false]);
    expect(budget.spent.attempts).toBe(3);
  });

  test("of processor time counts from the second attempt on", () => {
    const budget = new Budget({ cpuMs: 20 });
    expect(budget.take()).toBe(true);
    work(30);
    expect(budget.take()).toBe(true);
    work(30);
    expect(budget.take()).toBe(false);
    expect(budget.spent.cpuMs).toBeGreaterThanOrEqual(30);
  });

  test("reads the processor's clock for no lone attempt", () => {
    const look = vi.spyOn(process, "cpuUsage");
    expect(new Budget({ cpuMs: 1, attempts: 1, clockMs: 60_000 }).take()).toBe(true);
    expect(look).not.toHaveBeenCalled();
    look.mockRestore();
  });

  test("of time counts from the start", () => {
    const budget = new Budget({ clockMs: 20 });
    work(30);
    expect(budget.take()).toBe(false);
  });

  test("without limits is never spent", () => {
    const budget = new Budget({});
    expect(Array.from({ length: 10_000 }, () => budget.take())).not.toContain(false);
  });
});

describe("a budget of pieces", () => {
  test("counts nothing between them", () => {
    const budget = new PieceBudget({ cpuMs: 20, clockMs: 60_000 });
    work(30);
    expect(budget.isSpent).toBe(false);
    const end = budget.begin();
    work(30);
    end();
    expect(budget.isSpent).toBe(true);
    expect(budget.clockMsLeft).toBeLessThan(60_000);
  });

  test("adds them up, until it is restarted", () => {
    const budget = new PieceBudget({ attempts: 1 });
    budget.begin()();
    expect(budget.isSpent).toBe(false);
    budget.begin()();
    expect(budget.isSpent).toBe(true);
    budget.restart();
    expect(budget.isSpent).toBe(false);
    expect(budget.clockMsLeft).toBe(Number.POSITIVE_INFINITY);
  });
});
